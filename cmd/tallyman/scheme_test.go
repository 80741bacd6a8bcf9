package main

import (
	"bytes"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

// tape is a scheme of which nothing in this tree knows, as the package of its
// provider would register it.
func init() {
	fetch.RegisterScheme(fetch.Scheme{Name: "tape", Segments: []fetch.Segment{
		{Name: "VAULT", Kind: fetch.Label}, {Name: "REEL", Kind: fetch.Number}, {Name: "FILE"},
	}})
}

func TestAProviderIsAPackageAndOneLine(t *testing.T) {
	const place, first, second = "tape://vault-3/7/", "tape://vault-3/7/backup 1", "tape://vault-3/7/backup 2"
	tape := fetchtest.NewMemory(fetchtest.NewFile("a.csv", []byte("a,b\n1,2\n")))
	for _, s := range []string{first, second} {
		tape.Add(fetchtest.ParseRef(t, s))
	}
	providerSets = append(providerSets, func(*app, account) map[string]fetch.Provider {
		return map[string]fetch.Provider{"tape": tape}
	})
	t.Cleanup(func() { providerSets = providerSets[:len(providerSets)-1] })
	dir, redis := filepath.Join(t.TempDir(), "archive"), startRedis(t)
	defer log.SetOutput(log.Writer())
	tallyman := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(args, &stdout, &stderr); code != 0 {
			t.Fatalf("%q ends with %d: %s", args, code, &stderr)
		}
		return stdout.String()
	}

	if listed := tallyman("discover", place); !strings.Contains(listed, first) || !strings.Contains(listed, second) {
		t.Errorf("discover lists %q, want both jobs", listed)
	}
	tallyman("fetch", "--archive", dir, first)
	if got, err := os.ReadFile(filepath.Join(dir, "tape/vault-3/7/backup%201/data/backup 1.csv")); err != nil || string(got) != "a,b\n1,2\n" {
		t.Errorf("%q landed, %v", got, err)
	}
	tallyman("verify", "--archive", dir, first)
	tallyman("enqueue", "--archive", dir, "--redis", redis.URL, second)
	if status := tallyman("status", "--archive", dir, "--redis", redis.URL, second); !strings.Contains(status, second) {
		t.Errorf("status says %q, want the job that was enqueued", status)
	}
}
