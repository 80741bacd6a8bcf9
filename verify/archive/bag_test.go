package archive

import (
	"os/exec"
	"testing"

	"tallyman/verify/archive/bagtest"
)

func TestOtherToolsCanCheckABag(t *testing.T) {
	odd := export{"é ü/名前 1.csv": rows(10), "two  spaces": rows(20), "-rf": rows(30), "a'b\"c*?": "", "deep/er/and/deeper": rows(99)}
	for _, e := range []export{threeObjects(), odd, {"one": ""}} {
		_, bag := mustLand(t, t.TempDir(), e)
		if err := bagtest.Check(bag); err != nil {
			t.Error(err)
		}
		for _, manifest := range []string{"manifest-sha256.txt", "tagmanifest-sha256.txt"} {
			sha256sum(t, bag, manifest)
		}
	}
}

func sha256sum(t *testing.T, dir, manifest string) {
	t.Helper()
	if _, err := exec.LookPath("sha256sum"); err != nil {
		return
	}
	cmd := exec.Command("sha256sum", "-c", "--strict", "--quiet", manifest)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum -c %s: %v: %s", manifest, err, out)
	}
}
