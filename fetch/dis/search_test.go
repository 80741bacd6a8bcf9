package dis

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

// foundKey returns the key of the one object of an export.
func foundKey(t *testing.T, export *fetch.Export) string {
	t.Helper()
	return strings.TrimPrefix(string(object(t, export).Source.(fetchtest.Opened)), "obs://landing/")
}

func TestTheFileIsFoundByItsName(t *testing.T) {
	for _, c := range []struct {
		name   string
		oldnew []string
		keys   []string // the first is the file's
		calls  int      // of listings, at most
	}{
		{"in the directory of its hour, 8 hours ahead", nil, []string{"logs/2025/08/30/15/" + fileName}, 1},
		{"in the directory of its hour", nil, []string{"logs/2025/08/30/07/" + fileName}, 2},
		{"in the directory of the hour before", nil, []string{"logs/2025/08/30/06/" + fileName}, 6},
		{"in the directory of the hour after", nil, []string{"logs/2025/08/30/16/" + fileName}, 6},
		{"in the directory of its day", []string{"yyyy/MM/dd/HH", "yyyy/MM/dd"}, []string{"logs/2025/08/30/" + fileName}, 1},
		{"in the directory of the day before", []string{"yyyy/MM/dd/HH", "yyyy/MM/dd"}, []string{"logs/2025/08/29/" + fileName}, 3},
		{"in the directory of its month", []string{"yyyy/MM/dd/HH", "yyyy/MM"}, []string{"logs/2025/08/" + fileName}, 1},
		{"in the directory of its year", []string{"yyyy/MM/dd/HH", "yyyy"}, []string{"logs/2025/" + fileName}, 1},
		{"in the directory of a minute", []string{"yyyy/MM/dd/HH", "yyyy/MM/dd/HH/mm"}, []string{"logs/2025/08/30/15/47/" + fileName}, 1},
		{"in no directory of time", []string{"yyyy/MM/dd/HH", ""}, []string{"logs/" + fileName}, 1},
		{"in no directory at all", []string{"yyyy/MM/dd/HH", "", `"logs"`, `""`}, []string{fileName}, 1},
		{"in a directory below the bucket's", []string{`"landing"`, `"obs://landing/top/"`}, []string{"top/logs/2025/08/30/15/" + fileName}, 1},
		{"with a prefix that ends in a slash", []string{`"logs"`, `"logs/"`}, []string{"logs/2025/08/30/15/" + fileName}, 1},
		{"with an extension", nil, []string{"logs/2025/08/30/15/" + fileName + ".parquet"}, 1},
		{"rather without an extension", nil, []string{"logs/2025/08/30/15/" + fileName, "logs/2025/08/30/15/" + fileName + ".tmp"}, 1},
		{"not where a longer name is", nil, []string{"logs/2025/08/30/07/" + fileName, "logs/2025/08/30/15/" + fileName + "0"}, 2},
		{"wherever else it is under the prefix", nil, []string{"logs/archive/old/" + fileName, "logs/2025/08/30/15/other"}, 9},
		{"in a partition that we can't read", []string{"yyyy/MM/dd/HH", "'w'ww"}, []string{"logs/w35/" + fileName}, 9},
		{"where no one can tell when it began", []string{"1756539753280", "0", fileName, taskID + ".disMonitorTest.0.x"}, []string{"logs/x/" + taskID + ".disMonitorTest.0.x"}, 1},
		{"where it took too long to look at each hour", []string{"1756539753280", "1"}, []string{"logs/2025/08/30/15/" + fileName}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bucket{objects: map[string]int64{}}
			for _, key := range c.keys {
				b.objects[key] = 30718683
			}
			p := provider(sample(c.oldnew...).RoundTrip)
			p.Objects = b.list
			ref := placeRef + c.keys[0][strings.LastIndexByte(c.keys[0], '/')+1:]
			export, err := p.Export(t.Context(), parseRef(t, strings.TrimSuffix(ref, ".parquet")))
			if err != nil {
				t.Fatal(err, b.asked)
			}
			if got := foundKey(t, export); got != c.keys[0] || len(b.asked) > c.calls {
				t.Errorf("got %s after %q", got, b.asked)
			}
			if name := object(t, export).Name; !strings.HasSuffix(c.keys[0], name) || strings.Contains(name, "/") {
				t.Errorf("got the name %s", name)
			}
			if answer := export.Answer.(exportAnswer); answer.Bucket != "landing" || answer.Key != c.keys[0] {
				t.Errorf("got the answer %+v", answer)
			}
		})
	}
}

func TestEveryHourOfADeliveryIsLookedAtOnce(t *testing.T) {
	b := &bucket{}
	p := provider(sample("1756540056070", "1756543356070").RoundTrip) // from 07:42 to 08:42 UTC
	p.Objects = b.list
	_, err := p.Export(t.Context(), parseRef(t, fileRef))
	var want []string
	for _, hour := range []string{"15", "07", "16", "08", "14", "06", "17", "09"} {
		want = append(want, "logs/2025/08/30/"+hour+"/"+fileName)
	}
	want = append(want, "logs/")
	if diff := cmp.Diff(want, b.asked); diff != "" || !errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound; prefixes (-want +got)\n%s", err, diff)
	}
}

func TestAFileWhoseNameIsAmbiguousIsRefused(t *testing.T) {
	many := map[string]int64{}
	for i := range maxSearched + 1 {
		many[fmt.Sprint("logs/x/", i)] = 1
	}
	for _, c := range []struct {
		name    string
		oldnew  []string
		objects map[string]int64
		fails   error
		want    error
		says    string
	}{
		{"where there is none", nil, nil, nil, fetch.ErrNotFound, "no object under obs://landing/logs/ has the name of the file"},
		{"by the beginning of a name", nil, map[string]int64{"logs/2025/08/30/15/" + fileName + "1": 1, "logs/" + fileName + "x.gz": 1}, nil, fetch.ErrNotFound, "no object"},
		{"by the end of a name", nil, map[string]int64{"logs/2025/08/30/15/x" + fileName: 1}, nil, fetch.ErrNotFound, "no object"},
		{"by a directory of that name", nil, map[string]int64{"logs/2025/08/30/15/" + fileName + "/x": 1}, nil, fetch.ErrNotFound, "no object"},
		{"by its size", nil, map[string]int64{"logs/2025/08/30/15/other": 30718683}, nil, fetch.ErrNotFound, "no object"},
		{"where there are two", nil, map[string]int64{"logs/a/" + fileName: 1, "logs/b/" + fileName: 1}, nil, fetch.ErrRefused, "2 objects have the name of the file, among them obs://landing/logs/"},
		{"where there are two extensions", nil, map[string]int64{"logs/2025/08/30/15/" + fileName + ".gz": 1, "logs/2025/08/30/15/" + fileName + ".tmp": 1}, nil, fetch.ErrRefused, "2 objects have the name of the file"},
		{"where there are two minutes", []string{"yyyy/MM/dd/HH", "yyyy/MM/dd/HH/mm"}, map[string]int64{"logs/2025/08/30/15/47/" + fileName: 1, "logs/2025/08/30/15/48/" + fileName: 1}, nil, fetch.ErrRefused, "2 objects"},
		{"where there are too many", []string{"yyyy/MM/dd/HH", ""}, many, nil, fetch.ErrRefused, "obs://landing/logs/ has more than 100000 objects"},
		{"where there is no bucket", nil, nil, &fetch.CallError{Call: "ListObjects", Status: 404, Code: "NoSuchBucket", Kind: fetch.ErrNotFound}, fetch.ErrNotFound, "NoSuchBucket"},
		{"where the bucket is closed", nil, nil, &fetch.CallError{Call: "ListObjects", Status: 403, Kind: fetch.ErrAuth}, fetch.ErrAuth, "ListObjects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := provider(sample(c.oldnew...).RoundTrip)
			p.Objects = (&bucket{objects: c.objects, err: c.fails}).list
			_, err := p.Export(t.Context(), parseRef(t, fileRef))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v: %s", err, c.want, c.says)
			}
		})
	}
}

func TestRecordsAreCountedAsTheTaskSays(t *testing.T) {
	const text, delimiter = `"destination_file_type": "text"`, `"record_delimiter": "\n"`
	for _, c := range []struct {
		name    string
		oldnew  []string
		ext     string
		content string
		sized   bool // the row's size is compared with the object's
	}{
		{"text by its newlines", nil, "", verify.Text("\n"), true},
		{"text by commas", []string{delimiter, `"record_delimiter": ","`}, "", verify.Text(","), true},
		{"text by a newline in two letters", []string{delimiter, `"record_delimiter": "\\n"`}, "", verify.Text("\n"), true},
		{"text by nothing", []string{delimiter, `"record_delimiter": ""`}, "", verify.Text(""), true},
		{"text by null", []string{delimiter, `"record_delimiter": null`}, "", verify.Text(""), true},
		{"text by the word NULL", []string{delimiter, `"record_delimiter": "NULL"`}, "", "textNULL", true},
		{"text without a delimiter", []string{delimiter, `"x": 1`}, "", verify.Text(""), true},
		{"text is the default", []string{text, `"x": 1`}, "", verify.Text("\n"), true},
		{"text in capitals", []string{text, `"destination_file_type": "TEXT"`}, "", verify.Text("\n"), true},
		{"text that is not compressed", []string{text, text + `, "compression_format": "none"`}, "", verify.Text("\n"), true},
		{"gzip, whose size is another", []string{text, text + `, "compression_format": "gzip"`}, "", verify.Text("\n"), false},
		{"gzip, by its extension alone", nil, ".gz", verify.Text("\n"), false},
		{"Parquet is not countable", []string{text, `"destination_file_type": "parquet"`}, ".parquet", verify.Text(""), false},
		{"CarbonData is not countable", []string{text, `"destination_file_type": "carbon"`}, "", verify.Text(""), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := provider(sample(slices.Concat(c.oldnew, []string{"30718683", "100"})...).RoundTrip)
			p.Objects = (&bucket{objects: map[string]int64{"logs/2025/08/30/15/" + fileName + c.ext: 7}}).list
			export, err := p.Export(t.Context(), parseRef(t, fileRef))
			if err != nil {
				t.Fatal(err)
			}
			if o := object(t, export); o.Content != c.content || o.Want.Size != 7 || (len(export.Doubts) == 1) != c.sized {
				t.Errorf("got %+v, %q", o, export.Doubts)
			}
		})
	}
}

func TestTheRowPromisesASizeIfTheListingHasNone(t *testing.T) {
	p := provider(sample().RoundTrip)
	p.Objects = (&bucket{objects: map[string]int64{"logs/2025/08/30/15/" + fileName: verify.Unknown}}).list
	export, err := p.Export(t.Context(), parseRef(t, fileRef))
	if err != nil || object(t, export).Want.Size != 30718683 || export.Doubts != nil {
		t.Errorf("got %+v, %v", export, err)
	}
}

const tasksPath = "/v2/575ae927fc644f22b5c5af5209b7cf51/streams/disMonitorTest/transfer-tasks"

func TestTheTaskIsFoundByItsID(t *testing.T) {
	for _, c := range []struct {
		name   string
		oldnew []string
		more   service
		want   error
		says   string
	}{
		{"in the list", nil, nil, nil, ""},
		{"if the list has no IDs", []string{`"task_id": "CDaRPdvKUfZrAhzTaYs", "task_name": "to_obs", "state"`, `"task_name": "to_obs", "state"`, `"task_id": "another", `, ``},
			service{tasksPath + "/other": `{"task_id":"another","obs_destination_description":{"obs_bucket_path":"elsewhere"}}`}, nil, ""},
		{"if neither answer has an ID, and there is one task", []string{`"task_id": "CDaRPdvKUfZrAhzTaYs",`, ``}, nil, nil, ""},
		{"where the destination has its other name", []string{"obs_destination_description", "obs_destination_descriptor"}, nil, nil, ""},
		{"where names have quotes too many", []string{`"file_prefix"`, `"file_prefix\""`, `"obs_bucket_path"`, `"\"OBS_bucket_path"`}, nil, nil, ""},
		{"not where it is gone", []string{`"task_id": "CDaRPdvKUfZrAhzTaYs", "task_name": "to_obs", "state"`, `"task_id": "new", "task_name": "to_obs", "state"`}, nil,
			fetch.ErrNotFound, tasksCall + ": not found: HTTP 200: the stream disMonitorTest has no dump task of ID " + taskID + " (any more)"},
		{"not where it has another", []string{`"task_id": "CDaRPdvKUfZrAhzTaYs", "task_name": "to_obs", "obs`, `"task_id": "new", "task_name": "to_obs", "obs`}, nil,
			fetch.ErrNotFound, tasksCall + ": not found"},
		{"not in an answer that is no list", []string{`"tasks"`, `"x"`}, nil, fetch.ErrTemporary, tasksCall + ": temporary failure at the source: HTTP 200: the answer is not a list of dump tasks"},
		{"not in an answer that names no bucket", []string{"landing", ""}, nil, fetch.ErrTemporary, taskCall + ": temporary failure at the source: HTTP 200: the answer names no bucket"},
		{"not in an answer that is none", nil, service{tasksPath + "/to_obs": "[]"}, fetch.ErrTemporary, taskCall},
		{"not in a list that may not be read", nil, service{tasksPath: `{"errorCode":"DIS.4116","message":"why"}`}, fetch.ErrAuth, tasksCall + ": access denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers := sample(c.oldnew...)
				for path, body := range c.more {
					answers[path] = body
				}
				export, err := provider(answers.RoundTrip).Export(t.Context(), parseRef(t, fileRef))
				switch {
				case c.want == nil && err == nil:
					foundKey(t, export)
				case !errors.Is(err, c.want) || !strings.HasPrefix(err.Error(), c.says):
					t.Errorf("got %v, want %s", err, c.says)
				}
			})
		})
	}
}

func TestCallsBehindTheRowAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := map[string]int{}
		p := provider(func(req *http.Request) (*http.Response, error) {
			if calls[req.URL.Path]++; strings.HasPrefix(req.URL.Path, "/v2/") && calls[req.URL.Path] == 1 {
				return fetchtest.Answering(400, `{"errorCode":"DIS.4303","message":"slow down"}`)(req)
			}
			return sample().RoundTrip(req)
		})
		if _, err := p.Export(t.Context(), parseRef(t, fileRef)); err != nil || calls[tasksPath] != 2 || calls[tasksPath+"/to_obs"] != 2 {
			t.Errorf("got %v after %v", err, calls)
		}
	})
}
