package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify"
	"tallyman/verify/archive/bagtest"
	"tallyman/verify/archive/internal/durable"
)

const (
	testRef = "sls://cn-hangzhou/ali-test-project/download-123"
	testKey = "sls/cn-hangzhou/ali-test-project/download-123"

	testPart = 64
)

var testHash = hashName(testKey)

// An export of the tests: the bodies of its objects, by name. The objects are not
// encoded, and each becomes a content file of the same name.
type export map[string]string

func (e export) names() []string {
	var names []string
	for name := range e {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func rows(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,INFO,request %x\n", 1722409860+i, i*i*7919)
	}
	return b.String()[:n]
}

func threeObjects() export {
	return export{"a.csv": rows(100), "logs/deep/b.csv": rows(30), "empty": ""}
}

func promise(body string) verify.Want {
	return verify.Want{
		Size: int64(len(body)), ETag: `"v1"`, CRC64: fmt.Sprint(crc64.Checksum([]byte(body), crc64.MakeTable(crc64.ECMA))), Modified: "2026-12-01T06:00:00Z",
	}
}

func openWith(dir string, step func(op, path string) error) (*Archive, error) {
	if step == nil {
		step = func(string, string) error { return nil }
	}
	var mu sync.Mutex // a commit syncs several files at once
	one := func(op, path string) error {
		mu.Lock()
		defer mu.Unlock()
		return step(op, path)
	}
	a := &Archive{dir: filepath.Clean(dir), step: one, measure: durable.MeasureSpace}
	return a, a.open("", SiteExports)
}

func mustOpen(t testing.TB, dir string) *Archive {
	t.Helper()
	a, err := Open(dir, "", SiteOccupied)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustBegin(t testing.TB, a *Archive) *Ingest {
	t.Helper()
	in, err := a.Begin(context.Background(), testRef, testKey)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// mustPersist begins an export whose ingest directory is made at once.
func mustPersist(t testing.TB, a *Archive) *Ingest {
	t.Helper()
	in := mustBegin(t, a)
	if err := in.persist(context.Background()); err != nil {
		t.Fatal(err)
	}
	return in
}

func mustPartial(t testing.TB, in *Ingest, name string, want verify.Want) *Partial {
	t.Helper()
	p, err := in.Partial(context.Background(), name, want)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// land makes one attempt at an export.
func land(a *Archive, e export) (*Receipt, error) {
	if r, err := a.Landed(testKey); !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	in, err := a.Begin(context.Background(), testRef, testKey)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return commitAll(in, e)
}

// commitAll receives what an attempt lacks of an export, and commits it.
func commitAll(in *Ingest, e export) (*Receipt, error) {
	for _, name := range e.names() {
		if in.Done(name, promise(e[name])) {
			continue
		}
		if err := receive(in, name, e[name]); err != nil {
			return nil, err
		}
	}
	return in.Commit(Summary{Reference: testRef, Status: "SUCCEEDED", Records: verify.Unknown})
}

// mustReopen opens an archive that was made before, so that the first line of its ledger
// is of what lands in it.
func mustReopen(t testing.TB) *Archive {
	t.Helper()
	return mustOpen(t, mustOpen(t, t.TempDir()).dir)
}

func mustLand(t testing.TB, dir string, e export) (*Archive, string) {
	t.Helper()
	a := mustOpen(t, dir)
	if _, err := land(a, e); err != nil {
		t.Fatal(err)
	}
	return a, a.Path(testKey)
}

// receive receives one object in parts, decodes it, and finishes it.
func receive(in *Ingest, name, body string) (err error) {
	p, err := in.Partial(context.Background(), name, promise(body))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.AddPromise(promise(body)); err != nil {
		return err
	}
	for t := range p.Missing(p.Want().Size, testPart) {
		if err := fill(t, body); err != nil {
			return err
		}
	}
	return decode(p, name)
}

func fill(t *Part, body string) error {
	off, n := t.Remaining()
	if n == verify.Unknown {
		n = int64(len(body)) - off
	}
	_, err := t.Write([]byte(body[off : off+n]))
	return err
}

// decode reads the wire to its end, writes the bytes as content, and finishes the
// object.
func decode(p *Partial, name string) error {
	body, err := io.ReadAll(p.Wire(context.Background()))
	if err != nil {
		return err
	}
	if err := create(p, name, body); err != nil {
		return err
	}
	return p.Finish("", false)
}

func create(p *Partial, name string, body []byte) error {
	w, err := p.Create(name, "", false)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, bytes.NewReader(body))
	return errors.Join(err, w.Close())
}

// missing lists the missing ranges of an object of that size, as off+len.
func missing(p *Partial, size int64) string {
	var parts []string
	for t := range p.Missing(size, testPart) {
		off, n := t.Remaining()
		parts = append(parts, fmt.Sprintf("%d+%d", off, n))
	}
	return strings.Join(parts, " ")
}

func keys(t testing.TB, a *Archive) []string {
	t.Helper()
	var keys []string
	for key, err := range a.All() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// mustHaveLanded checks that the export landed with that content and nothing else,
// and that nothing is left of its ingest.
func mustHaveLanded(t testing.TB, a *Archive, e export) {
	t.Helper()
	if err := a.Recheck(context.Background(), testKey, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{testKey}, keys(t, a)); diff != "" {
		t.Error(diff)
	}
	for name, body := range e {
		if got, err := os.ReadFile(filepath.Join(a.Path(testKey), dataDir, name)); err != nil || string(got) != body {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
	if err := bagtest.Check(a.Path(testKey)); err != nil {
		t.Error(err)
	}
	bag, err := hashTagManifest(a.Path(testKey))
	if line, _ := a.presence(testKey); err != nil || line == nil || line.Bag != bag {
		t.Errorf("the ledger has %+v, and the bag is %s, %v", line, bag, err)
	}
	if left, _ := filepath.Glob(filepath.Join(a.dir, ingestDir, testHash, "*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}
