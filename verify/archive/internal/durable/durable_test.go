package durable

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// A directory whose parents could not be synced is known to no later export as one of which
// all parents are durable.
func TestAFailedSyncOfParentsIsMadeUpFor(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "sls", "cn-hangzhou")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var synced []string
	fails := map[string]bool{top: true}
	step := Step(func(_, path string) error {
		if fails[path] {
			return syscall.EIO
		}
		synced = append(synced, path)
		return nil
	})
	var done sync.Map
	if err := step.SyncParents(dir, top, &done); err == nil {
		t.Fatal("the error of the archive's directory was not told")
	}
	clear(fails)
	synced = nil
	if err := step.SyncParents(dir, top, &done); err != nil || !slices.Contains(synced, top) {
		t.Errorf("%v; synced %q", err, synced)
	}
	synced = nil
	if err := step.SyncParents(dir, top, &done); err != nil || len(synced) != 1 {
		t.Errorf("%v; synced again %q", err, synced)
	}
}
