package decode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"tallyman/fetch/internal/memory"
	"tallyman/fetch/internal/unpack"
	"tallyman/verify"
)

// ErrCorrupt is wrapped by the errors of objects that can't be decoded, are
// mislabelled, or are an error page.
var ErrCorrupt = errors.New("corrupt as the source holds it")

// A Target is an object to decode, and where its content goes.
type Target struct {
	Names Names
	Size  int64  // bytes as transferred, or verify.Unknown
	Coded string // the format that the job declares: "zstd", "none"; "" if it declares none

	Promised verify.Want // by the job or the reference, not by the answer of the store
	Records  int64       // that the job or the reference promised of the export, or verify.Unknown

	// KeepWire says that only the bytes as transferred are kept. Then a
	// mislabelled object is not refused, since it is not stored as decoded.
	KeepWire bool

	Workers    int           // goroutines that unpack a zip, at least 1
	Limits     unpack.Limits // of a container
	Memory     memory.Account
	MaxDecoded int64 // bytes that the object may decode to; 0 means a limit by its size
	Output     Output

	// Recover is deferred in every goroutine that decoding starts, and turns a
	// panic into the error.
	Recover func(*error)
}

// An Output takes the content of one object. An error of Create or Reserve that
// wraps unpack.ErrUnsafeName is the object's fault. Every other error of the two,
// and of the files, is a local error.
type Output interface {
	// Create makes a content file. declared is the type of its content if the job
	// declares one ("csv"), else "". isWire says that its content will be all of the
	// bytes as transferred. For a zip, many goroutines call it at once.
	Create(name, declared string, isWire bool) (io.WriteCloser, error)

	// ReaderAt returns the bytes as transferred and their number. It is called
	// once the wire has ended. It fails if that was not with io.EOF: then the
	// verdict of the wire counts.
	ReaderAt() (io.ReaderAt, int64, error)

	// Reserve waits until there is disk space for content of so many bytes.
	Reserve(ctx context.Context, content int64) error
}

// Run decodes the object that wire transfers. It reads wire to its end even if
// the object can't be decoded, so that the caller can ask for the verdict on the
// transfer before it believes the error: if the transfer is at fault, the object
// is not.
//
// A local error (see [IsLocal]) ends Run early, and Run closes wire: Close must
// make a blocked Read return, and may be called twice. Otherwise Run does not
// close wire. Every error that is not local wraps ErrCorrupt,
// unpack.ErrUnsafeName, unpack.ErrBomb or unpack.ErrEncrypted, or is the cause
// that ended ctx. An error page is a *PageError. When Run returns, no goroutine of
// it is left.
func Run(ctx context.Context, wire io.ReadCloser, t Target) (Result, error) {
	d := &decoding{Target: t, wire: wire}
	ahead := readAhead(ctx, wire, t.Size, t.Recover)
	ended := false
	defer func() {
		if !ended {
			wire.Close() // or ahead.Close would wait for the wire's next bytes
		}
		ahead.Close()
	}()
	encoded, giveBack := borrowReader(ahead)
	defer giveBack()
	f, err := d.detectFormat(encoded)
	switch {
	case err != nil:
	case !d.opens(f):
		err = d.writeContent(ctx, encoded)
		d.result.Checked = err == nil && f != nil && f.name == "zip" && d.isSoundZip(ctx, encoded)
	case f.open == nil:
		d.result.Codec = f.name
		err = d.unzip(ctx, encoded, d.createEntry)
	default:
		d.result.Codec = f.name
		err = d.decodeStream(ctx, f, encoded)
	}
	switch {
	case err == nil:
	case !IsLocal(err) && ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = fmt.Errorf("decode %s: %w", d.Names.Object, classify(err))
	}
	if IsLocal(err) {
		return d.result, err
	}
	io.Copy(io.Discard, ahead) // an error is the wire's verdict, and the caller asks for that
	ended = true
	if err == nil {
		err = d.checkPolyglot()
	}
	return d.result, err
}

// A decoding is the state of one Run.
type decoding struct {
	Target
	wire   io.Closer
	zips   zipFinder // in what a codec decoded
	result Result
}

// classify adds ErrCorrupt to an error that has no other kind, as those of the
// decoders and of corrupt containers.
func classify(err error) error {
	err = unpack.WindowError(err)
	for _, kind := range []error{ErrCorrupt, unpack.ErrUnsafeName, unpack.ErrBomb, unpack.ErrEncrypted} {
		if errors.Is(err, kind) {
			return err
		}
	}
	if IsLocal(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// writeContent writes the content files of what was decoded: the entries of a
// tar, or a single file.
func (d *decoding) writeContent(ctx context.Context, content io.Reader) error {
	r, ok := content.(*bufio.Reader)
	if !ok {
		var giveBack func()
		r, giveBack = borrowReader(content)
		defer giveBack()
	}
	head, err := r.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, isDamagedTar := unpack.IsTar(head)
	found := d.identify(head)
	switch {
	case isDamagedTar && d.unpacks():
		return errTarChecksum
	case found == "tar" && d.unpacks():
		d.result.Codec += map[bool]string{true: "tar", false: "+tar"}[d.result.Codec == ""]
		_, err = unpack.Tar(ctx, r, d.containerLimits(d.Size), d.createEntry)
		return d.unpacked(err, r)
	case found == "":
		if err := d.checkErrorPage(r, head); err != nil {
			return err
		}
	}
	suffix, err := d.checkLabel(found, head)
	if err != nil {
		return err
	}
	file, err := d.Output.Create(d.contentName(suffix), d.Names.Content, d.result.Codec == "")
	if err != nil {
		return outputError(err)
	}
	out := localFile{file}
	if err := copyAll(out, r); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}

var errTarChecksum = errors.New("the first header of the tar has a wrong checksum")

// contentName returns the name of the content file, with a suffix if its name
// would say something else than it is.
func (d *decoding) contentName(suffix string) string {
	name := d.Names.File()
	if extension := path.Ext(name); d.result.Codec != "" && packedTars[strings.ToLower(extension)] != nil {
		name = strings.TrimSuffix(name, extension) + ".tar"
	}
	if d.Names.KeepEncoded() { // it is only counted
		return name
	}
	return d.Names.free(name + suffix)
}

// unzip reads the wire to its end and unpacks the zip from the disk. The CRC-32
// of each entry checks all of the content.
func (d *decoding) unzip(ctx context.Context, encoded *bufio.Reader, create unpack.Create) error {
	head, _ := encoded.Peek(512) // copyAll gets the same error
	if isTar, _ := unpack.IsTar(head); isTar {
		return errZipAndTar
	}
	if err := copyAll(io.Discard, encoded); err != nil {
		return err
	}
	zip, size, err := d.Output.ReaderAt()
	if err != nil {
		return err
	}
	limits := d.containerLimits(size)
	limits.Reserve = func(bytes int64) error { return outputError(d.Output.Reserve(ctx, bytes)) }
	_, err = unpack.Zip(ctx, localReaderAt{zip}, size, d.Workers, limits, create)
	d.result.Checked = err == nil
	return d.unpacked(err, encoded)
}

// unpacked returns the error of unpacking a container. If only the wire is kept,
// the refusal of a container is none, since nothing in it gets a name of its own:
// rest is decoded, which checks the codec, and Accept decides.
func (d *decoding) unpacked(err error, rest io.Reader) error {
	isRefusal := func(kind error) bool { return errors.Is(err, kind) }
	if !d.KeepWire || IsLocal(err) || !slices.ContainsFunc([]error{unpack.ErrUnsafeName, unpack.ErrBomb, unpack.ErrEncrypted, unpack.ErrCorrupt}, isRefusal) {
		return err
	}
	d.result.object, d.result.Refused = d.Names.Object, classify(err)
	return copyAll(io.Discard, rest)
}

var errZipAndTar = errors.New("it is a zip and a tar, with two contents")

// isSoundZip reports whether the checksums of a zip that is kept as it is cover
// all of its content. It is not asked if a hash was promised, which proves more.
func (d *decoding) isSoundZip(ctx context.Context, read *bufio.Reader) bool {
	discard := func(string) (io.WriteCloser, error) { return localFile{discarded{io.Discard}}, nil }
	return !d.Promised.HasHash() && d.Promised.ETag == "" && d.unzip(ctx, read, discard) == nil
}

type discarded struct{ io.Writer }

func (discarded) Close() error { return nil }

func (d *decoding) createEntry(entry string) (io.WriteCloser, error) {
	out, err := d.Output.Create(d.Names.Entry(entry), "", false)
	if err != nil {
		return nil, outputError(err)
	}
	return localFile{out}, nil
}

// copyAll is io.Copy for readers that may have been read to their end before,
// whose WriteTo then returns io.EOF.
func copyAll(to io.Writer, from io.Reader) error {
	if _, err := io.Copy(to, from); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

var bufioReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// borrowReader returns a buffered reader of r, and a function that gives it back.
// No goroutine may still read it then.
func borrowReader(r io.Reader) (b *bufio.Reader, giveBack func()) {
	b = bufioReaders.Get().(*bufio.Reader)
	b.Reset(r)
	return b, func() {
		b.Reset(nil)
		bufioReaders.Put(b)
	}
}

// A localError is a failure of this machine.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

// IsLocal reports whether an error of Run is a failure of this machine: its
// output failed, or a decoder panicked. It says nothing about the object, and
// the wire was not read to its end.
func IsLocal(err error) bool {
	_, local := errors.AsType[*localError](err)
	return local
}

// outputError makes an error of the output local, unless the object is at fault.
func outputError(err error) error {
	if err == nil || errors.Is(err, unpack.ErrUnsafeName) {
		return err
	}
	return &localError{err}
}

// localReaderAt makes its errors local.
type localReaderAt struct{ io.ReaderAt }

func (r localReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &localError{err}
	}
	return n, err
}

// localFile makes its errors local.
type localFile struct{ io.WriteCloser }

func (f localFile) Write(p []byte) (int, error) {
	n, err := f.WriteCloser.Write(p)
	if err != nil {
		err = &localError{err}
	}
	return n, err
}

func (f localFile) Close() error {
	if err := f.WriteCloser.Close(); err != nil {
		return &localError{err}
	}
	return nil
}
