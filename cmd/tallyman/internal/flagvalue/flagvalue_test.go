package flagvalue

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
)

func TestSizesAreReadInTheirUnits(t *testing.T) {
	for text, want := range map[string]int64{
		"4M": 4 << 20, "20MB": 20e6, "1TiB": 1 << 40, "512k": 512 << 10, "64kib": 64 << 10, "2Gi": 2 << 30, "1.5MiB": 3 << 19, "1tb": 1e12, "0.1KiB": 102,
		"0": 0, "65536": 65536, "64KiB": 64 << 10, "64 KiB": 64 << 10, "4MiB": 4 << 20, "2GiB": 2 << 30,
		"1KB": 1e3, "1MB": 1e6, "1GB": 1e9, "7B": 7,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "+1", "1e3", "1/2", "1..5", ".", "KiB", "1PiB", "1KK", "1 2", "8388608TiB", "9223372036854775807GiB", "99999999999999999999"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestSizesAreShownAsAPersonWould(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1KiB", 1536: "1.5KiB", 4 << 20: "4MiB", 5 << 30: "5GiB"} {
		if got := FormatSize(n); got != want {
			t.Errorf("%d is shown as %s, want %s", n, got, want)
		}
	}
}

func TestDurationsHaveWeeksAndDays(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "2h30m": 150 * time.Minute, "7d": 7 * day, "1w": 7 * day,
		"1w2d3h": 9*day + 3*time.Hour, "1d0s": day, "1.5s": 1500 * time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "7", "d", "-1d", "-1s", "1d2w", "1d-25h", "1.5d", "99999w", "8000w8000w", "soon", "1w2562047h"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestTheShardsOfAnArchiveCoverItOnce(t *testing.T) {
	for _, n := range []uint64{1, 2, 7, 100} {
		shards := map[uint64]int{}
		for i := range 1000 {
			key := fmt.Sprintf("sls/cn-hangzhou/project/job-%d", i)
			holders := 0
			for k := range n {
				if (archive.Shard{K: k + 1, N: n}).Has(key) {
					holders++
					shards[k]++
				}
			}
			if holders != 1 {
				t.Errorf("%d of %d shards have %s", holders, n, key)
			}
		}
		if uint64(len(shards)) != n {
			t.Errorf("%d of %d shards have something", len(shards), n)
		}
	}
}

func TestTheZeroShardHasAllKeys(t *testing.T) {
	shard, err := ParseShard("")
	if err != nil || !shard.Has("sls/r/p/j") {
		t.Errorf("%+v has it: %v, %v", shard, shard.Has("sls/r/p/j"), err)
	}
}

func TestAValueThatIsRefusedStaysAsItWas(t *testing.T) {
	network := New("public|internal", "public", OneOf("public", "internal"))
	if err := network.Set("private"); err == nil || network.Value != "public" || network.String() != "public" || !strings.Contains(err.Error(), "public, internal") {
		t.Errorf("private makes it %s, %s: %v", network.Value, &network, err)
	}
	if err := network.Set("internal"); err != nil || network.Value != "internal" || network.String() != "internal" {
		t.Errorf("internal makes it %s, %s: %v", network.Value, &network, err)
	}
	if since := New("TIME", "", ParseTime); since.Value != (time.Time{}) || since.String() != "" {
		t.Errorf("without a default it is %v, %s", since.Value, &since)
	}
}

func TestABucketMayHaveARegion(t *testing.T) {
	for text, want := range map[string]Bucket{
		"my-backups": {Name: "my-backups"}, "b-1@cn-hangzhou": {"b-1", "cn-hangzhou"}, "b-1@oss-cn-hangzhou": {"b-1", "oss-cn-hangzhou"},
	} {
		if got, err := ParseBucket(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "@cn-hangzhou", "b-1@", "B-1", "a.b", "ab", "b-1@cn/hangzhou", "b-1@a@b", "oss://b-1", "b-1/exports", "b-1@-a"} {
		if got, err := ParseBucket(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func TestARangeHasOneEndOrTwo(t *testing.T) {
	for text, want := range map[string]Range{"": {}, "5": {true, 5, 5}, "5..": {true, 5, math.MaxInt64}, "..5": {true, 0, 5}, "2..5": {true, 2, 5}, "0": {true, 0, 0}} {
		if got, err := ParseRange(text); got != want || err != nil {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "-1", "5..1", "1..2..3", "1,2", "-3..5"} {
		if got, err := ParseRange(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestPhasesAreNamedAsPeopleDo(t *testing.T) {
	all, err := ParsePhases("all")
	if len(all) != len(catalog.Phases) || err != nil {
		t.Errorf("%q, %v", all, err)
	}
	for _, phase := range catalog.Phases {
		if got, err := ParsePhases("landed, " + FormatPhase(phase)); len(got) != 2 || got[1] != phase || err != nil {
			t.Errorf("%s is shown as %s, which is %q, %v", phase, FormatPhase(phase), got, err)
		}
	}
	if got, err := ParsePhases("landed,all"); err == nil {
		t.Errorf("%q", got)
	}
}
