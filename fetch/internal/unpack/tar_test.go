package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tarred returns a tar of archive/tar. The content of a file is in the Linkname
// of its header.
func tarred(t testing.TB, headers ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Typeflag, content, h.Linkname = tar.TypeReg, h.Linkname, ""
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func untarred(t testing.TB, b []byte, limits Limits) (map[string]string, error) {
	t.Helper()
	var s sink
	n, err := Tar(context.Background(), bytes.NewReader(b), limits, s.create)
	return s.contents(t, n, err), err
}

// resum corrects the checksum of the first header.
func resum(b []byte) []byte {
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b[:tarBlock] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// patched returns a tar of one file whose header is changed at an offset.
func patched(t testing.TB, at int, to string) []byte {
	b := tarred(t, tar.Header{Name: "a", Linkname: "x", Mode: 0o644})
	copy(b[at:], to)
	return resum(b)
}

func TestHonestTarsUnpack(t *testing.T) {
	long := strings.Repeat("long/", 100) + "name"
	for _, format := range []tar.Format{tar.FormatUnknown, tar.FormatPAX, tar.FormatGNU} {
		got, err := untarred(t, tarred(t,
			tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755, Format: format},
			tar.Header{Name: "./d/", Typeflag: tar.TypeDir, Mode: 0o42775, Format: format},
			tar.Header{Name: "./d/a", Linkname: "x", Mode: 0o644, Format: format},
			tar.Header{Name: "b", Mode: 0o100644, Format: format},
			tar.Header{Name: "订单.csv", Linkname: strings.Repeat("y", 511), Mode: 0o600, Format: format},
			tar.Header{Name: "zeros", Linkname: strings.Repeat("\x00", 4096), Mode: 0o600, Format: format},
			tar.Header{Name: long, Linkname: "z", Mode: 0o600, Format: format},
		), Limits{})
		refused(t, err, nil, "")
		want := map[string]string{"d/a": "x", "b": "", "订单.csv": strings.Repeat("y", 511), "zeros": strings.Repeat("\x00", 4096), long: "z"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("format %v: unpacked (-want +got):\n%s", format, diff)
		}
	}
}

func TestOnlyFilesAndDirectoriesOfATarAreUnpacked(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Name: name, Mode: 0o644} }
	special := func(kind byte) []byte { return tarred(t, tar.Header{Name: "a", Typeflag: kind, Linkname: "b"}) }
	pax := func(key, value string) tar.Header {
		return tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{key: value}}
	}
	for _, c := range []struct {
		name string
		tar  []byte
		kind error
		says string
	}{
		{"symbolic link", special(tar.TypeSymlink), ErrUnsafeName, `"a": is a symbolic link`},
		{"hard link", special(tar.TypeLink), ErrUnsafeName, "is a hard link"},
		{"character device", special(tar.TypeChar), ErrUnsafeName, "is a character device"},
		{"block device", special(tar.TypeBlock), ErrUnsafeName, "is a block device"},
		{"pipe", special(tar.TypeFifo), ErrUnsafeName, "is a named pipe"},
		{"contiguous file", patched(t, 156, "7"), ErrUnsafeName, "is a contiguous file"},
		{"unknown type", patched(t, 156, "Z"), ErrUnsafeName, "unknown type 'Z'"},
		{"setuid", tarred(t, tar.Header{Name: "a", Mode: 0o4755}), ErrUnsafeName, "runs as its owner"},
		{"mode of a link", tarred(t, tar.Header{Name: "a", Mode: 0o120777}), ErrUnsafeName, "is a symbolic link"},
		{"directory with content", patched(t, 156, "5"), ErrCorrupt, "directory with 1 bytes"},
		{"file with a slash", patched(t, 0, "a/"), ErrUnsafeName, "slash at its end"},
		{"file without a name", patched(t, 0, "\x00"), ErrUnsafeName, "without a name"},
		{"file of the root's name", patched(t, 0, "./"), ErrUnsafeName, "slash at its end"},
		{"unsafe", tarred(t, file("../a")), ErrUnsafeName, "the element .."},
		{"unsafe behind ./", tarred(t, file("./../a")), ErrUnsafeName, "the element .."},
		{"absolute", tarred(t, file("/a")), ErrUnsafeName, "absolute"},
		{"absolute behind ./", tarred(t, file(".//a")), ErrUnsafeName, "absolute"},
		{"not UTF-8", patched(t, 0, "\xff"), nil, ""},
		{"twice", tarred(t, file("a"), file("./a")), ErrUnsafeName, "is there twice"},
		{"other case", tarred(t, file("a"), file("A")), nil, ""},
		{"file and directory", tarred(t, file("a"), file("a/b")), ErrUnsafeName, "is a file and a directory"},
		{"global comment", tarred(t, pax("comment", "commit 1"), file("a")), nil, ""},
		{"global path", tarred(t, pax("path", "b"), file("a")), ErrCorrupt, `global header of "path"`},
		{"global size", tarred(t, pax("size", "1"), file("a")), ErrCorrupt, `global header of "size"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := untarred(t, c.tar, Limits{})
			refused(t, err, c.kind, c.says)
		})
	}
}

func TestTarsWithoutAProperEndAreCorrupt(t *testing.T) {
	whole := tarred(t, tar.Header{Name: "a", Linkname: "x", Mode: 0o644}, tar.Header{Name: "b", Linkname: strings.Repeat("\x00", 2048), Mode: 0o644})
	end := len(whole) - 1024
	meta := tarred(t, tar.Header{Name: strings.Repeat("n", 200), Mode: 0o644, Format: tar.FormatPAX})[:1024]
	for _, c := range []struct {
		name string
		tar  []byte
		says string // "": unpacks
	}{
		{"as written", whole, ""},
		{"nothing but the end", whole[end:], ""},
		{"padded", append(bytes.Clone(whole), make([]byte, 9999)...), ""},
		{"empty", nil, "no end marker"},
		{"cut between entries", whole[:end], "no end marker"},
		{"cut in the end marker", whole[:end+512], "no end marker"},
		{"one byte short", whole[:len(whole)-1], "after"},
		{"cut in a header", whole[:100], "unexpected EOF"},
		{"cut in the content", whole[:tarBlock], "unexpected EOF"},
		{"cut in the padding", whole[:tarBlock+1], "no end marker"},
		{"one block of zeros, then more", append(append(bytes.Clone(whole[:end]), make([]byte, 512)...), whole...), "after"},
		{"bytes behind", append(bytes.Clone(whole), 'x'), "goes on behind its end marker"},
		{"bytes far behind", append(append(bytes.Clone(whole), make([]byte, 99999)...), 'x'), "goes on behind its end marker"},
		{"second tar behind", append(bytes.Clone(whole), whole...), "goes on behind its end marker"},
		{"header of nothing", append(append(bytes.Clone(whole[:end]), meta...), make([]byte, 1024)...), "no end marker"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := untarred(t, c.tar, Limits{})
			kind := ErrCorrupt
			if c.says == "" {
				kind = nil
			}
			refused(t, err, kind, c.says)
		})
	}
	for n := range whole {
		if _, err := untarred(t, whole[:n], Limits{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("the first %d of %d bytes: %v, want ErrCorrupt", n, len(whole), err)
		}
	}
}

func TestTarsOverALimitAreRefused(t *testing.T) {
	two := tarred(t, tar.Header{Name: "a", Linkname: "12345", Mode: 0o644}, tar.Header{Name: "b/c", Linkname: "12345", Mode: 0o644})
	size := int64(len(two))
	padded := append(bytes.Clone(two), make([]byte, 1<<20)...)
	for _, c := range []struct {
		name   string
		tar    []byte
		limits Limits
		says   string // "": unpacks
	}{
		{"as many bytes", two, Limits{Bytes: size}, ""},
		{"too many bytes", two, Limits{Bytes: size - 1}, "limit of 3071 bytes"},
		{"too much padding", padded, Limits{Bytes: size}, "limit of 3072 bytes"},
		{"as large an entry", two, Limits{EntryBytes: 5}, ""},
		{"too large an entry", two, Limits{EntryBytes: 4}, "limit of 4 bytes for an entry"},
		{"as many entries", two, Limits{Entries: 3}, ""},
		{"too many entries", two, Limits{Entries: 2}, "limit of 2 entries"},
		{"too many bytes declared", patched(t, 124, "77777777777"), Limits{Bytes: 1 << 20}, "limit of 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := untarred(t, c.tar, c.limits)
			kind := ErrBomb
			if c.says == "" {
				kind = nil
			}
			refused(t, err, kind, c.says)
		})
	}
}

func TestErrorsOfReaderAndFilesOfATarAreReturnedUnchanged(t *testing.T) {
	b := tarred(t, tar.Header{Name: "a", Linkname: strings.Repeat("x", 99999), Mode: 0o644})
	for _, c := range []struct {
		name                 string
		create, write, close error
	}{{name: "create", create: syscall.ENOSPC}, {name: "write", write: syscall.ENOSPC}, {name: "close", close: syscall.ENOSPC}} {
		var closed atomic.Int32
		_, err := Tar(context.Background(), bytes.NewReader(b), Limits{}, func(string) (io.WriteCloser, error) {
			return brokenFile{c.write, c.close, &closed}, c.create
		})
		if err != syscall.ENOSPC || c.create == nil && closed.Load() != 1 {
			t.Errorf("%s: error %v, closed %d", c.name, err, closed.Load())
		}
	}
	for n := range []int{0, 1, 600, 66000, len(b) - 1} {
		in := io.MultiReader(bytes.NewReader(b[:n]), brokenReader{})
		if _, err := Tar(context.Background(), in, Limits{}, (&sink{}).create); err != syscall.EIO {
			t.Errorf("broken after %d bytes: error %v", n, err)
		}
	}
	cause := errors.New("drained")
	ctx, cancel := context.WithCancelCause(context.Background())
	_, err := Tar(ctx, bytes.NewReader(b), Limits{}, func(string) (io.WriteCloser, error) {
		cancel(cause)
		return &counter{}, nil
	})
	if !errors.Is(err, cause) {
		t.Errorf("ended: error %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, syscall.EIO }

// The magics are those of POSIX, GNU tar, Unix v7, commons-compress (as GNU's and
// as Ant's), and of others that write part of them.
func TestEachDialectOfTarUnpacks(t *testing.T) {
	for _, magic := range []string{"ustar\x0000", "ustar  \x00", strings.Repeat("\x00", 8), "ustar 0\x00", "ustar\x00\x00\x00", "ustar\x000 ", "ustar   ", "ustar 00"} {
		b := patched(t, 257, magic)
		got, err := untarred(t, b, Limits{})
		if isTar, isDamaged := IsTar(b); !isTar || isDamaged || err != nil || got["a"] != "x" {
			t.Errorf("%q: is a tar: %v, damaged: %v, %q, %v", magic, isTar, isDamaged, got, err)
		}
		b[0]++
		if isTar, _ := IsTar(b); isTar {
			t.Errorf("%q with a wrong checksum is a tar", magic)
		}
	}
	label, dump := patched(t, 156, "V"), patched(t, 156, "D")
	copy(label[124:], "00000000000")
	labelled := slices.Concat(resum(label)[:tarBlock], tarred(t, tar.Header{Name: "b", Linkname: "y", Mode: 0o644}))
	if got, err := untarred(t, labelled, Limits{}); err != nil || !maps.Equal(got, map[string]string{"b": "y"}) {
		t.Errorf("with a label: %q, %v", got, err)
	}
	if got, err := untarred(t, dump, Limits{}); err != nil || len(got) > 0 {
		t.Errorf("of a directory with its names: %q, %v", got, err)
	}
	split := patched(t, 257, "ustar 0\x00")
	copy(split[345:], "directory")
	_, err := untarred(t, resum(split), Limits{})
	refused(t, err, ErrCorrupt, "a prefix of its name that only some readers see")
}

func TestIsTarRecognizesEachDialect(t *testing.T) {
	old := patched(t, 257, "\x00\x00\x00\x00\x00\x00\x00\x00")
	numbered := bytes.Clone(old)
	copy(numbered[100:], "rw-r--r--")
	for _, c := range []struct {
		name string
		head []byte
		want bool
	}{
		{"POSIX", tarred(t, tar.Header{Name: "a", Format: tar.FormatUSTAR}), true},
		{"PAX", tarred(t, tar.Header{Name: "a", Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": "c"}}), true},
		{"GNU", tarred(t, tar.Header{Name: "a", Format: tar.FormatGNU}), true},
		{"too short", tarred(t, tar.Header{Name: "a"})[:511], false},
		{"v7", old, true},
		{"v7 with a mode that is no number", resum(numbered), false},
		{"wrong checksum", func() []byte { b := tarred(t, tar.Header{Name: "a"}); b[0]++; return b }(), false},
		{"no checksum", func() []byte { b := tarred(t, tar.Header{Name: "a"}); copy(b[148:], "        "); return b }(), false},
		{"zeros", make([]byte, 1024), false},
		{"text", bytes.Repeat([]byte("a,b\n"), 256), false},
	} {
		if got, _ := IsTar(c.head); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// more returns a header that extends the one of the next entry, with its content.
func more(kind byte, content string) string {
	var h [tarBlock]byte
	copy(h[:], "more")
	copy(h[124:], fmt.Sprintf("%011o", len(content)))
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	return string(resum(h[:])) + content + strings.Repeat("\x00", (tarBlock-len(content)%tarBlock)%tarBlock)
}

func record(key, value string) string {
	n := len(key) + len(value) + 3
	for n != len(fmt.Sprintf("%d %s=%s\n", n, key, value)) {
		n++
	}
	return fmt.Sprintf("%d %s=%s\n", n, key, value)
}

func TestContradictingTarHeadersAreCorrupt(t *testing.T) {
	plain := string(tarred(t, tar.Header{Name: "a", Linkname: "x", Mode: 0o644}))
	sized := func(field string) string { return string(patched(t, 124, field)) }
	records := func(all ...string) string { return more(tar.TypeXHeader, strings.Join(all, "")) }
	long := strings.Repeat("n", 200)
	for _, c := range []struct {
		name, tar string
		kind      error
		says      string
	}{
		{"records", records(record("path", "b"), record("mtime", "1.5")) + plain, nil, ""},
		{"a long name and a long link's", more(tar.TypeGNULongLink, "l\x00") + more(tar.TypeGNULongName, long+"\x00") + plain, nil, ""},
		{"a size that is the same", records(record("size", "1")) + plain, nil, ""},
		{"a size that is the same, in binary", records(record("size", "1")) + sized("\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), nil, ""},
		{"another size", records(record("size", "0")) + plain, ErrCorrupt, "has 0 bytes by one header and 1 by another"},
		{"a size over an empty one", records(record("size", "1")) + sized("00000000000"), ErrCorrupt, "1 bytes by one header and 0"},
		{"a size that has no room", records(record("size", "8589934592")) + sized("00000000000"), ErrCorrupt, "unexpected EOF"},
		{"a negative size", sized("-0000000001"), ErrCorrupt, "invalid tar header"},
		{"a negative size in binary", sized("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), ErrCorrupt, "invalid tar header"},
		{"a negative size in a record", records(record("size", "-1")) + plain, ErrCorrupt, "invalid tar header"},
		{"a size in binary", sized("\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), nil, ""},
		{"a size in binary beyond all", sized("\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), ErrCorrupt, "invalid tar header"},
		{"records twice", records(record("path", "b")) + records(record("path", "c")) + plain, ErrCorrupt, "two headers"},
		{"a long name twice", more(tar.TypeGNULongName, "b\x00") + more(tar.TypeGNULongName, "c\x00") + plain, ErrCorrupt, "two headers"},
		{"a long name and records", more(tar.TypeGNULongName, "b\x00") + records(record("path", "c")) + plain, ErrCorrupt, "two headers"},
		{"records and a long name", records(record("path", "b")) + more(tar.TypeGNULongName, "c\x00") + plain, ErrCorrupt, "two headers"},
		{"a record twice", records(record("path", "b"), record("path", "c")) + plain, ErrCorrupt, `two records of "path"`},
		{"records before a global header", records(record("path", "b")) + more(tar.TypeXGlobalHeader, record("comment", "c")) + plain, ErrCorrupt, "global header behind"},
		{"an unsafe path", records(record("path", "../b")) + plain, ErrUnsafeName, "the element .."},
		{"an unsafe long name", more(tar.TypeGNULongName, "/etc/b\x00") + plain, ErrUnsafeName, "absolute"},
		{"sparse by its records", records(record("GNU.sparse.major", "1"), record("GNU.sparse.minor", "0"), record("GNU.sparse.name", "b"), record("GNU.sparse.realsize", "9")) + plain, ErrCorrupt, ""},
		{"a link's path alone", records(record("linkpath", "/etc/passwd")) + plain, nil, ""},
		{"headers without end", strings.Repeat(more(tar.TypeGNULongName, strings.Repeat("b", 1<<20-512)), 5) + plain, ErrCorrupt, "bytes of headers"},
		{"a wrong checksum behind the first", plain[:1024] + strings.Replace(plain, "ustar", "uster", 1), ErrCorrupt, "invalid tar header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := untarred(t, []byte(c.tar), Limits{})
			refused(t, err, c.kind, c.says)
		})
	}
}
