package dis

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/obs"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

const authToken = "TOKENcanary"

// dumped returns a sandbox with that dump task, and a provider that asks it.
func dumped(t *testing.T, task sandbox.DumpTask) (*sandbox.Cloud, *Provider) {
	t.Helper()
	c := sandbox.New(sandbox.Options{AccessKeyID: fetchtest.KeyID, AccessKeySecret: fetchtest.Secret, SecurityToken: fetchtest.Token, AuthToken: authToken})
	task.ID, task.Stream, task.Bucket = taskID, "disMonitorTest", "landing"
	c.AddDumpTask(task)
	base, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	store := &obs.Store{Endpoint: base, Keys: func(context.Context) (obs.Keys, error) {
		return obs.Keys{AccessKey: fetchtest.KeyID, SecretKey: fetchtest.Secret, SecurityToken: fetchtest.Token}, nil
	}}
	return c, &Provider{Endpoint: base, Keys: StaticKeys(testKeys), Objects: func(ctx context.Context, region, bucket, prefix string) iter.Seq2[fetch.Object, error] {
		return store.Objects(ctx, obs.Selection{Region: region, Bucket: bucket, Prefix: prefix})
	}}
}

// sampleDelivery returns the delivery of the vendor's sample, with another file.
func sampleDelivery(f sandbox.File) sandbox.Delivery {
	return sandbox.Delivery{Start: time.UnixMilli(1756539753280), End: time.UnixMilli(1756540056070), File: f}
}

// fetchOne makes one attempt, and returns the receipt and the content of the one
// file.
func fetchOne(t *testing.T, p *Provider, ref string) (*archive.Receipt, string, error) {
	t.Helper()
	dir := t.TempDir()
	kept, err := archive.Open(dir, "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	f := &fetch.Fetcher{Archive: kept, Providers: map[string]fetch.Provider{"dis": p}}
	receipt, err := f.Fetch(t.Context(), parseRef(t, ref))
	if err != nil {
		return nil, "", err
	}
	names, _ := filepath.Glob(filepath.Join(dir, "dis/*/*/*/data/*"))
	if len(names) != 1 {
		t.Fatalf("%d files", len(names))
	}
	b, err := os.ReadFile(names[0])
	return receipt, string(b), err
}

func TestAFileLandsWithItsRecordsCounted(t *testing.T) {
	const rows = 500
	plain := string(sandbox.Generate(rows, "json", 7))
	for _, c := range []struct {
		name    string
		task    sandbox.DumpTask
		change  func(*sandbox.Delivery)
		auth    func(*Provider)
		content string
		records int64
		doubts  []string
	}{
		{name: "text, by derived keys", task: sandbox.DumpTask{Prefix: "logs", Partition: "yyyy/MM/dd/HH"}, content: plain, records: rows},
		{name: "text, by plain keys", auth: func(p *Provider) { p.Signature = "plain" }, content: plain, records: rows},
		{name: "text, by a token", auth: func(p *Provider) { p.Keys = StaticKeys(Keys{Token: authToken}) }, content: plain, records: rows},
		{name: "text in directories of UTC", task: sandbox.DumpTask{Prefix: "logs/", Partition: "yyyy/MM/dd/HH/mm", Zone: time.UTC}, content: plain, records: rows},
		{name: "text by commas", task: sandbox.DumpTask{Delimiter: ","}, content: strings.ReplaceAll(plain, "\n", ","), records: rows},
		{name: "gzip", task: sandbox.DumpTask{Compression: "gzip", Partition: "yyyy/MM/dd"}, content: plain, records: rows},
		{name: "Parquet", task: sandbox.DumpTask{FileType: "parquet"}, change: func(d *sandbox.Delivery) { d.File.Body = []byte("PAR1\x00PAR1") }, content: "PAR1\x00PAR1", records: -1, doubts: []string{"not-comparable"}},
		{name: "with the quirks of the sample", task: sandbox.DumpTask{SingleRow: true, NoTaskID: true, BrokenKeys: true, Prefix: "logs"}, content: plain, records: rows},
		{name: "with fewer records than told", change: func(d *sandbox.Delivery) { d.Records = new(int64(rows + 1)) }, content: plain, records: rows, doubts: []string{"records"}},
		{name: "with fewer bytes than told", change: func(d *sandbox.Delivery) { d.Bytes = new(int64(len(plain) + 1)) }, content: plain, records: rows, doubts: []string{"transferBytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := sampleDelivery(sandbox.File{Rows: rows, Seed: 7})
			if c.change != nil {
				c.change(&d)
			}
			c.task.Deliveries = []sandbox.Delivery{d}
			_, p := dumped(t, c.task)
			if c.auth != nil {
				c.auth(p)
			}
			receipt, content, err := fetchOne(t, p, fileRef)
			if err != nil {
				t.Fatal(err)
			}
			if content != c.content || receipt.Records != c.records || len(receipt.Doubts) != len(c.doubts) {
				t.Errorf("got %d bytes, %d records, %q", len(content), receipt.Records, receipt.Doubts)
			}
			for i, doubt := range c.doubts {
				if !strings.Contains(receipt.Doubts[i], doubt) {
					t.Errorf("got %q, want %q", receipt.Doubts[i], doubt)
				}
			}
		})
	}
}

func TestADeliveryIsWaitedFor(t *testing.T) {
	d := sampleDelivery(sandbox.File{Rows: 3})
	d.RunningCalls = 2
	_, p := dumped(t, sandbox.DumpTask{Deliveries: []sandbox.Delivery{d}})
	for range 2 {
		if _, _, err := fetchOne(t, p, fileRef); !errors.As(err, new(*fetch.NotReadyError)) {
			t.Fatalf("got %v", err)
		}
	}
	if receipt, _, err := fetchOne(t, p, fileRef); err != nil || receipt.Records != 3 {
		t.Errorf("got %v, %v", receipt, err)
	}
}

func TestAFailedDeliveryIsNotFetched(t *testing.T) {
	d := sampleDelivery(sandbox.File{Rows: 3})
	d.State = 2
	_, p := dumped(t, sandbox.DumpTask{Deliveries: []sandbox.Delivery{d}})
	if _, _, err := fetchOne(t, p, fileRef); !errors.As(err, new(*fetch.JobError)) || !strings.Contains(err.Error(), "state 2") {
		t.Errorf("got %v", err)
	}
}

func TestAWrongKeyIsNoAccess(t *testing.T) {
	_, p := dumped(t, sandbox.DumpTask{Deliveries: []sandbox.Delivery{sampleDelivery(sandbox.File{Rows: 3})}})
	for _, keys := range []Keys{{AccessKey: fetchtest.KeyID, SecretKey: "wrongcanary"}, {AccessKey: "other", SecretKey: "x"}, {Token: "wrongcanary"}} {
		for _, form := range []string{"derived", "plain"} {
			p.Keys, p.Signature = StaticKeys(keys), form
			_, _, err := fetchOne(t, p, fileRef)
			if !errors.Is(err, fetch.ErrAuth) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v, %s: got %v", keys, form, err)
			}
		}
	}
}

func TestEveryFileOfATaskIsListedAndLands(t *testing.T) {
	var all []sandbox.Delivery
	for i := range 25 {
		start := time.Date(2025, 8, 30, i/2, i%2*30, 0, 0, time.UTC)
		all = append(all, sandbox.Delivery{Number: i % 3, Start: start, End: start.Add(time.Minute), File: sandbox.File{Rows: i + 1, Seed: uint64(i)}})
	}
	c, p := dumped(t, sandbox.DumpTask{Prefix: "logs", Partition: "yyyy/MM/dd/HH", Deliveries: all})
	p.PageSize = 7
	var records []int64
	for file, err := range p.List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		receipt, _, err := fetchOne(t, p, file.Ref.String())
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, receipt.Records)
	}
	slices.Reverse(records)
	for i, n := range records {
		if n != int64(i+1) {
			t.Errorf("file %d has %d records", i, n)
		}
	}
	if n := c.Counts().Calls; len(records) != 25 || n["ShowTransferTaskLog"] > 16 || n["ShowTransferTask"] != 1 {
		t.Errorf("%d files after %v", len(records), n)
	}
}
