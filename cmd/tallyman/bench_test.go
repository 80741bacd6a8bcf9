package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/sandbox"
	"tallyman/fetch/web"
	"tallyman/verify/archive"
)

// benchTools are what .ci/bench needs and no package has: the test binary is
// one of them when it is called by the name "bench".
var benchTools = map[string]func(*flag.FlagSet, []string) error{
	"address": printAddress, "generate": generateFiles, "serve": serveFiles, "fetch": fetchDirectly, "jobs": serveJobs,
}

func benchMain() {
	name := os.Args[1]
	if err := benchTools[name](flag.NewFlagSet(name, flag.ExitOnError), os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", name, err)
		os.Exit(1)
	}
}

// printAddress prints an address of this host that is free.
func printAddress(*flag.FlagSet, []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return l.Close()
}

// serveFiles serves a directory until it is killed, with what a network adds to
// a server on the same host: a delay before each answer, and a rate of each
// connection.
func serveFiles(flags *flag.FlagSet, args []string) error {
	delay := flags.Duration("delay", 0, "before each answer")
	bytesPerSecond := flags.Int("rate", 0, "of each connection; 0 is no limit")
	_ = flags.Parse(args)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	if *bytesPerSecond > 0 {
		l = slowListener{l, *bytesPerSecond}
	}
	files := http.FileServer(http.Dir(flags.Arg(0)))
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(*delay)
		files.ServeHTTP(w, r)
	}))
}

type slowListener struct {
	net.Listener
	bytesPerSecond int
}

func (l slowListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return slowConn{conn, rate.NewLimiter(rate.Limit(l.bytesPerSecond), 128<<10)}, err
}

type slowConn struct {
	net.Conn
	limit *rate.Limiter
}

func (c slowConn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		chunk := p[n:min(len(p), n+c.limit.Burst()/2)]
		if err = c.limit.WaitN(context.Background(), len(chunk)); err == nil {
			var wrote int
			wrote, err = c.Conn.Write(chunk)
			n += wrote
		}
	}
	return n, err
}

// serveJobs is a cloud of SLS jobs that do not end until it is killed. It prints its
// endpoint, and writes the references of the jobs.
func serveJobs(flags *flag.FlagSet, args []string) error {
	jobs := flags.Int("jobs", 1000, "how many there are")
	places := flags.Int("places", 1, "how many projects they are in")
	list := flags.String("f", "", "the file for their references")
	_ = flags.Parse(args)
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	var refs bytes.Buffer
	for i := range *jobs {
		project, name := fmt.Sprintf("%s-%d", testProject, i%*places), fmt.Sprintf("job-%d", i)
		cloud.AddJob(project, sandbox.Job{Name: name, Statuses: []string{sandbox.JobRunning}})
		fmt.Fprintf(&refs, "sls://cn-hangzhou/%s/%s\n", project, name)
	}
	if err := os.WriteFile(*list, refs.Bytes(), 0o600); err != nil {
		return err
	}
	endpoint, _, err := cloud.Start()
	if err != nil {
		return err
	}
	fmt.Println(endpoint)
	select {}
}

// fetchDirectly fetches references without a queue, as a program does that calls
// the package.
func fetchDirectly(flags *flag.FlagSet, args []string) error {
	list := flags.String("f", "", "the file of the references")
	dir := flags.String("archive", "", "where they land")
	parallel := flags.Int("parallel", 8, "how many are fetched at once")
	_ = flags.Parse(args)
	refs, err := os.ReadFile(*list)
	if err != nil {
		return err
	}
	store, err := archive.Open(*dir, "", archive.SiteAbsent)
	if err != nil {
		return err
	}
	hosts := &hostguard.Policy{Domains: []string{"*"}, Allow: []string{"127.0.0.1"}}
	urls := &web.Provider{Hosts: hosts, Client: hosts.Client()}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"http": urls}, Archive: store, Parallel: *parallel}
	g, ctx := errgroup.WithContext(context.Background())
	slots := make(chan struct{}, *parallel)
	g.SetLimit(*parallel + 56) // those that commit take no slot
	for line := range strings.Lines(string(refs)) {
		g.Go(func() error {
			ref, err := fetch.ParseRef(strings.TrimSpace(line))
			if err != nil {
				return err
			}
			slots <- struct{}{}
			leave := sync.OnceFunc(func() { <-slots })
			defer leave()
			_, err = f.Fetch(fetch.WithReceived(ctx, leave), ref)
			return err
		})
	}
	return g.Wait()
}

// generateFiles writes logs of some size. The suffix of a name says how: as .csv
// or .json, and in which encoding (.zst, .gz). A .zip has 200 of .csv. It prints
// how many files and bytes that is once it is decoded.
func generateFiles(flags *flag.FlagSet, args []string) error {
	size := flags.Int64("size", 1<<20, "bytes of each, before it is encoded")
	_ = flags.Parse(args)
	g := &logGenerator{random: rand.New(rand.NewPCG(1, 1)), pools: map[string]*logPool{}}
	for _, name := range flags.Args() {
		if err := g.file(name, *size); err != nil {
			return err
		}
	}
	fmt.Println(g.files, g.bytes)
	return nil
}

// A logGenerator writes what looks like the log of a web service. It compresses
// to a sixth (CSV) or an eighth (JSON) by zstd, as such logs do.
type logGenerator struct {
	random       *rand.Rand
	pools        map[string]*logPool // by format
	files, bytes int64               // before they are encoded
}

// A logPool has blocks that are used in turn: what a file is made of does not
// come again within the distance that a decoder looks back.
type logPool struct {
	blocks [][]byte
	next   int
}

func (g *logGenerator) file(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	switch stem, codec := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name); codec {
	case ".zip":
		z := zip.NewWriter(f)
		for i := range 200 {
			entry, err := z.Create(fmt.Sprintf("%03d.csv", i))
			if err != nil {
				return err
			}
			if err := g.log(entry, ".csv", size/200); err != nil {
				return err
			}
		}
		return z.Close()
	case ".gz":
		z := gzip.NewWriter(f)
		return errors.Join(g.log(z, path.Ext(stem), size), z.Close())
	default:
		z, err := zstd.NewWriter(f)
		if err != nil {
			return err
		}
		return errors.Join(g.log(z, path.Ext(stem), size), z.Close())
	}
}

const (
	logBlock  = 32 << 10 // bytes, about
	logBlocks = 2048     // of a pool
)

// log writes blocks until there are so many bytes.
func (g *logGenerator) log(w io.Writer, format string, size int64) error {
	pool := g.pools[format]
	if pool == nil {
		pool = &logPool{}
		g.pools[format] = pool
	}
	for written := int64(0); written < size; pool.next = (pool.next + 1) % logBlocks {
		if pool.next == len(pool.blocks) {
			pool.blocks = append(pool.blocks, g.block(format))
		}
		n, err := w.Write(pool.blocks[pool.next])
		if err != nil {
			return err
		}
		written += int64(n)
		g.bytes += int64(n)
	}
	g.files++
	return nil
}

func (g *logGenerator) block(format string) []byte {
	line := "%d,10.%d.%d.%d,%s,%016x%016x,\"GET /orders/%d, %d bytes in %d ms\"\n"
	if format == ".json" {
		line = `{"__time__":"%d","__source__":"10.%d.%d.%d","level":"%s","trace_id":"%016x%016x","message":"GET /orders/%d, %d bytes in %d ms"}` + "\n"
	}
	r := g.random
	var b bytes.Buffer
	for b.Len() < logBlock {
		trace, order := [2]uint64{r.Uint64(), r.Uint64()}, r.IntN(1e6)
		for range 1 + r.IntN(8) { // what one request logs
			level := []string{"INFO", "INFO", "INFO", "WARN", "ERROR"}[r.IntN(5)]
			fmt.Fprintf(&b, line, 1767323045+b.Len()/1000, r.IntN(4), r.IntN(16), 1+r.IntN(250), level, trace[0], trace[1], order, r.IntN(1<<16), 1+r.IntN(900))
		}
	}
	return b.Bytes()
}
