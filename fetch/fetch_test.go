package fetch_test

import (
	"context"
	"testing"
)

func TestEachCodecLands(t *testing.T) {
	want := csv(20000)
	for _, codec := range []string{"zstd", "gzip", "lz4", "plain"} {
		t.Run(codec, func(t *testing.T) {
			s := serve(t, encode(t, codec, want))
			f, _ := newFetcher(t, t.TempDir())
			suffix := map[string]string{"zstd": ".zst", "gzip": ".gzip", "lz4": ".lz4"}[codec]
			ref := s.ref(t, "export.csv"+suffix, "#records=20207")
			receipt, err := f.Fetch(context.Background(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if len(receipt.Doubts) > 0 || receipt.Objects[0].Files[0].Path != "export.csv" {
				t.Errorf("doubts: %q, files: %+v", receipt.Doubts, receipt.Objects[0].Files)
			}
			checkLanded(t, f, ref.Key(), want)
			before := s.count.Load()
			if _, err := f.Fetch(context.Background(), ref); err != nil || s.count.Load() != before {
				t.Errorf("what had landed was asked for again (%v)", err)
			}
		})
	}
}
