package fetch

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parsePlaceOf(t *testing.T, s string) Ref {
	t.Helper()
	place, err := ParsePlace(s)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func TestPlaceIsAReferenceWithoutItsLastPart(t *testing.T) {
	for _, tt := range []struct {
		in    string
		parts []string
		says  string
	}{
		{"sls://cn-hangzhou/ali-test-project/", []string{"cn-hangzhou", "ali-test-project", ""}, ": it names a whole project, and no export in it: want sls://REGION/PROJECT/JOB"},
		{"dbs://cn-hangzhou/rm-uf6wjk5xxxxxxx/", []string{"cn-hangzhou", "rm-uf6wjk5xxxxxxx", ""}, ": it names a whole instance, and no export in it: want dbs://REGION/INSTANCE/TASK_ID"},
		{"dis://cn-north-1/CDaRPdvKUfZrAhzTaYs/", []string{"cn-north-1", "CDaRPdvKUfZrAhzTaYs", ""}, ": it names a whole task, and no export in it: want dis://REGION/TASK_ID/TRANSFER_FILE_NAME"},
	} {
		for _, in := range []string{tt.in, strings.TrimSuffix(tt.in, "/")} {
			place := parsePlaceOf(t, in)
			if diff := cmp.Diff(tt.parts, place.Parts()); diff != "" || place.String() != tt.in || !place.IsPlace() {
				t.Errorf("%s: got %s; Parts (-want +got)\n%s", in, place, diff)
			}
			ref, err := ParseRef(in)
			if placeErr, ok := errors.AsType[*PlaceError](err); !ok || placeErr.Place.String() != tt.in || !strings.HasSuffix(err.Error(), tt.says) {
				t.Errorf("%s is taken for a reference, as %s, or: %v", in, ref, err)
			}
		}
	}
}

func TestReferencesAreNoPlaces(t *testing.T) {
	for _, s := range refCorpus {
		if ref, err := ParseRef(s); err == nil && ref.IsPlace() {
			t.Errorf("%s is", s)
		}
	}
	if (Ref{}).IsPlace() {
		t.Error("the zero Ref is")
	}
}

func TestParsePlaceRefuses(t *testing.T) {
	for _, tt := range []struct{ in, message string }{
		{"", "want SCHEME://…/, with dbs, dis,"},
		{"ftp://h/a/", "want SCHEME://"},
		{"SLS://r/p/", "want SCHEME://…/, with dbs, dis, "},
		{"SLS://r/p/", " for SCHEME: did you mean sls://?"},
		{"sls://r/p/job", "want sls://REGION/PROJECT/: it names one export of the place sls://r/p/"},
		{"dms://r/1/", "dms has no places: a key exists only once asked for"},
		{"oss://b/x/", "an oss prefix is an export itself: fetch it"},
		{"obs://b/x/", "an obs prefix is an export itself: fetch it"},
		{"https://h/a/", "a URL is one file: fetch it"},
		{"http://h/a/?token=SECRET", "a URL is one file: fetch it"},
		{"sls://", "want sls://REGION/PROJECT/"},
		{"sls://r", "want sls://REGION/PROJECT/"},
		{"sls://r/", "want sls://REGION/PROJECT/"},
		{"sls://r/p/j", "want sls://REGION/PROJECT/"},
		{"sls://r/p//", "want sls://REGION/PROJECT/"},
		{"sls:///p/", "REGION"},
		{"sls://r//", "PROJECT"},
		{"sls://r/../", "PROJECT"},
		{"sls://evil.example%2F/p/", "REGION"},
		{"sls://r@evil.example/p/", "REGION"},
		{"sls://r/p?/", "no option"},
		{"sls://r/p/?token=SECRET", "secret"},
		{"sls://r/p#/", "PROJECT"},
		{"sls://r/p/\n", "control character"},
		{"sls://r/\xff/", "not UTF-8"},
		{"dbs://r/a b/", "INSTANCE"},
		{"dis://r/t/f", "want dis://REGION/TASK_ID/"},
	} {
		place, err := ParsePlace(tt.in)
		if err == nil {
			t.Errorf("%q is taken, as %s", tt.in, place)
		} else if text := err.Error(); !strings.Contains(text, tt.message) || strings.Contains(text, "SECRET") {
			t.Errorf("%q: %v, want %q in it", tt.in, err, tt.message)
		}
	}
}

func TestJobIsTheReferenceToAJobOfThePlace(t *testing.T) {
	place := parsePlaceOf(t, "sls://cn-hangzhou/ali-test-project")
	ref, err := place.Job("Nightly export #3")
	if want := parse(t, "sls://cn-hangzhou/ali-test-project/Nightly export #3"); err != nil || ref.String() != want.String() || ref.Key() != want.Key() {
		t.Errorf("got %s, %v", ref, err)
	}
	if place.String() != "sls://cn-hangzhou/ali-test-project/" {
		t.Errorf("the place is now %s", place)
	}
	for name, message := range map[string]string{
		"": "JOB", ".": "JOB", "..": "JOB", "a/b": "want sls://REGION/PROJECT/JOB", "/": "want sls://REGION/PROJECT/JOB",
		"a?b": "no option", "a?tid=1": "no option", "a\nb": "control character", "\xff": "not UTF-8",
	} {
		if ref, err := place.Job(name); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%q: got %s, %v, want %q", name, ref, err, message)
		}
	}
	for _, other := range []Ref{ref, parse(t, "oss://b/")} {
		if got, err := other.Job("x"); err == nil || !strings.Contains(err.Error(), "is not a place") {
			t.Errorf("a job of %s: got %s, %v, want an error that it is not a place", other, got, err)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	for _, s := range refCorpus {
		f.Add(s, "job")
	}
	for _, name := range []string{"job", "", "..", "a/b", "a?tid=1", "#", "\x00", "%2F", "日志"} {
		f.Add("sls://cn-hangzhou/ali-test-project/", name)
		f.Add("dis://r/t", name)
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		place, err := ParsePlace(s)
		if err != nil {
			return
		}
		if !place.IsPlace() || strings.TrimSuffix(place.String(), "/") != strings.TrimSuffix(s, "/") {
			t.Errorf("%q gives %q", s, place)
		}
		if diff := cmp.Diff(place.Parts(), parsePlaceOf(t, place.String()).Parts()); diff != "" {
			t.Errorf("%q: the parts of its String (-want +got)\n%s", s, diff)
		}
		if ref, err := ParseRef(place.String()); err == nil {
			t.Errorf("%q is taken for the reference %s", s, ref)
		}
		if ref, err := place.Job(name); err == nil {
			checkJob(t, place, ref, name)
		}
	})
}

// checkJob checks that a reference is to the job of that place with that name.
func checkJob(t *testing.T, place, ref Ref, name string) {
	t.Helper()
	checkKey(t, ref)
	want := slices.Clone(place.Parts())
	want[len(want)-1] = name
	if diff := cmp.Diff(want, ref.Parts()); diff != "" || ref.String() != place.String()+name || ref.IsPlace() {
		t.Errorf("%s with %q is %s; Parts (-want +got)\n%s", place, name, ref, diff)
	}
}
