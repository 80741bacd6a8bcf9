package deploy

import (
	"bytes"
	"strings"
	"testing"
)

// Every placeholder of a file is filled in, and a file with one that nobody knows is not
// written at all.
func TestPlaceholdersAreFilledIn(t *testing.T) {
	s := Settings{Program: "/usr/bin/tallyman", Archive: "/srv/50%", Redis: "redis://queue:6379/0", Image: "registry/tallyman:1"}
	var unit, manifests bytes.Buffer
	if err := Systemd(&unit, s); err != nil || !strings.Contains(unit.String(), "\nEnvironment=TALLYMAN_ARCHIVE=/srv/50%%\nEnvironment=TALLYMAN_REDIS=redis://queue:6379/0\nEnvironment=XDG") {
		t.Errorf("%v: %s", err, &unit)
	}
	if err := Kubernetes(&manifests, s); err != nil || strings.Count(manifests.String(), "image: registry/tallyman:1\n") != 3 {
		t.Errorf("%v: %s", err, &manifests)
	}
	if all := unit.String() + manifests.String(); strings.Contains(all, "{{") {
		t.Errorf("something is left: %s", all)
	}
	unit.Reset()
	if err := write(&unit, "systemd.service", map[string]string{"Path": UnitPath}); err == nil || !strings.Contains(err.Error(), "has no value") || unit.Len() > 0 {
		t.Errorf("without values: %v, %s", err, &unit)
	}
}
