//go:build unix

// Package powercut knows what a power cut would leave of a directory, for tests of what
// writes durable files and announces each change.
package powercut

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// A Disk knows what a power cut would leave of a directory: the bytes of
// each file and the names of each directory as they were at the last sync. What was
// not synced may be there all the same, or not.
type Disk struct {
	mu    sync.Mutex
	root  string
	files map[uint64][]byte
	names map[uint64]map[string]inode
	held  map[uint64]*os.File // kept open, so that no inode number is used again
}

type inode struct {
	number uint64
	dir    bool
}

// New returns the Disk of a directory, nothing of which is durable yet.
func New(t testing.TB, root string) *Disk {
	p := &Disk{root: root, files: map[uint64][]byte{}, names: map[uint64]map[string]inode{}, held: map[uint64]*os.File{}}
	t.Cleanup(func() {
		for _, f := range p.held {
			f.Close()
		}
	})
	return p
}

func number(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func (p *Disk) inode(path string) inode {
	info, err := os.Lstat(path)
	if err != nil {
		panic(err)
	}
	n := number(info)
	if p.held[n] == nil {
		if p.held[n], err = os.Open(path); err != nil {
			panic(err)
		}
	}
	return inode{n, info.IsDir()}
}

func (p *Disk) namesIn(dir string) map[string]inode {
	entries, err := os.ReadDir(dir)
	if err != nil {
		panic(err)
	}
	names := map[string]inode{}
	for _, e := range entries {
		names[e.Name()] = p.inode(filepath.Join(dir, e.Name()))
	}
	return names
}

// Step is told of the syncs just before they are made.
func (p *Disk) Step(op, path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch op {
	case "sync":
		b, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		p.files[p.inode(path).number] = b
	case "syncdir":
		p.names[p.inode(path).number] = p.namesIn(path)
	case "syncfs":
		p.record(p.root)
	}
	return nil
}

// Cut writes to dir what a power cut would leave. survives decides for each file
// and directory whether it is there as it was at last, or as it was synced.
func (p *Disk) Cut(dir string, survives func() bool) {
	after := Disk{files: map[uint64][]byte{}, names: map[uint64]map[string]inode{}, held: p.held}
	after.record(p.root)
	for n := range after.files {
		if !survives() {
			after.files[n] = p.files[n]
		}
	}
	for n := range after.names {
		if !survives() {
			after.names[n] = p.names[n]
		}
	}
	for n, names := range p.names {
		if after.names[n] == nil {
			after.names[n] = names
		}
	}
	for n, b := range p.files {
		if after.files[n] == nil {
			after.files[n] = b
		}
	}
	after.write(p.inode(p.root).number, dir)
}

// record notes everything below a directory as it is.
func (p *Disk) record(dir string) {
	names := p.namesIn(dir)
	p.names[p.inode(dir).number] = names
	for name, node := range names {
		path := filepath.Join(dir, name)
		if node.dir {
			p.record(path)
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		p.files[node.number] = append([]byte{}, b...)
	}
}

func (p *Disk) write(number uint64, dir string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		panic(err)
	}
	for name, node := range p.names[number] {
		path := filepath.Join(dir, name)
		if node.dir {
			p.write(node.number, path)
			continue
		}
		if err := os.WriteFile(path, p.files[node.number], 0o644); err != nil {
			panic(err)
		}
	}
}

// LoseUnsynced is a power cut that keeps nothing that was not synced.
func LoseUnsynced() bool { return false }

// KeepAtRandom is a power cut that keeps half of what was not synced.
func KeepAtRandom() func() bool {
	r := rand.New(rand.NewPCG(1, 2))
	return func() bool { return r.IntN(2) == 0 }
}
