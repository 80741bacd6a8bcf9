package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// Each fault that no test can plant in a system is found in what the system says.
func TestEachFaultIsFoundInWhatTheSystemSays(t *testing.T) {
	t.Parallel()
	limit := filepath.Join(t.TempDir(), "memory.max")
	if err := os.WriteFile(limit, []byte("268435456\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sound := worker.RedisFacts{Version: "7.0.15", Policy: "noeviction", AppendOnly: true, Snapshots: true}
	space := archive.Space{Total: 1 << 40, Free: 1 << 39, Kept: 64 << 20, Files: 1 << 20, KeptFiles: 16}
	with := func(change func(*archive.Space)) archive.Space { s := space; change(&s); return s }
	for name, test := range map[string]struct {
		look func(*Report)
		want map[string]State // of the checks that are not ok
	}{
		"sound":           {func(r *Report) { r.RedisFacts(sound, time.Millisecond); r.Space(space); r.OpenFiles(1024, 8) }, nil},
		"slow Redis":      {func(r *Report) { r.RedisFacts(sound, time.Second) }, map[string]State{"redis.latency": Warn}},
		"silent Redis":    {func(r *Report) { r.RedisFacts(worker.RedisFacts{Snapshots: true}, 0) }, map[string]State{"redis.version": Warn, "redis.policy": Warn, "redis.persistence": Warn}},
		"Redis in memory": {func(r *Report) { r.RedisFacts(worker.RedisFacts{Version: "7.0", Policy: "noeviction"}, 0) }, map[string]State{"redis.persistence": Warn}},
		"full disk":       {func(r *Report) { r.Space(with(func(s *archive.Space) { s.Free = 1 << 20 })) }, map[string]State{"archive.space": Fail}},
		"little room":     {func(r *Report) { r.Space(with(func(s *archive.Space) { s.Free = 1 << 33 })) }, map[string]State{"archive.space": Warn}},
		"no inodes":       {func(r *Report) { r.Space(with(func(s *archive.Space) { s.Files = 3 })) }, map[string]State{"archive.inodes": Fail}},
		"few inodes":      {func(r *Report) { r.Space(with(func(s *archive.Space) { s.Files = 300 })) }, map[string]State{"archive.inodes": Warn}},
		"any inodes":      {func(r *Report) { r.Space(with(func(s *archive.Space) { s.Files = verify.Unknown })) }, nil},
		"few files":       {func(r *Report) { r.OpenFiles(256, 8) }, map[string]State{"limits.files": Fail}},
		"little memory":   {func(r *Report) { r.Memory(limit, 512<<20) }, map[string]State{"limits.memory": Warn}},
		"no limit":        {func(r *Report) { r.Memory(limit+".no", 512<<20) }, nil},
		"no hard links":   {func(r *Report) { r.Trials([]archive.Trial{{Name: "write"}, {Name: "hard links", Err: syscall.EPERM}}) }, map[string]State{"archive.hard-links": Fail}},
		"no locks":        {func(r *Report) { r.Trials([]archive.Trial{{Name: "locks between processes", Err: errors.New("none")}}) }, map[string]State{"archive.locks-between-processes": Fail}},
	} {
		var got map[string]State
		r := &Report{Tell: func(f Finding) {
			if f.State == OK {
				return
			}
			if f.Advice == "" || f.Message == "" {
				t.Errorf("%s: %+v", name, f)
			}
			if got == nil {
				got = map[string]State{}
			}
			got[f.Check] = f.State
		}}
		test.look(r)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
