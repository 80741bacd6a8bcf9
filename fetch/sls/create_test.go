package sls

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/sandbox"
)

func creation(t testing.TB, query string) fetch.Creation {
	return fetch.Creation{Window: windowOf(t, query), Format: "json", Compression: "gzip", Attempt: 1}
}

// The name is a function of all that a job is made for, so that whoever asks for the same
// finds the job that is there, and nothing else ever has that name.
func TestTheNameOfAJobFollowsFromWhatItIsMadeFor(t *testing.T) {
	p, names := new(Provider), map[string]string{}
	for what, change := range map[string]func(*fetch.Creation){
		"as it is":       func(*fetch.Creation) {},
		"another place":  func(c *fetch.Creation) { c.Place = parsePlace(t, "sls://cn-beijing/ali-test-project/") },
		"another store":  func(c *fetch.Creation) { c.Group = "other *" },
		"another query":  func(c *fetch.Creation) { c.Group = "access level: ERROR" },
		"later":          func(c *fetch.Creation) { c.From = c.From.Add(time.Second) },
		"longer":         func(c *fetch.Creation) { c.To = c.To.Add(time.Second) },
		"another format": func(c *fetch.Creation) { c.Format = "csv" },
		"another codec":  func(c *fetch.Creation) { c.Compression = "none" },
		"once more":      func(c *fetch.Creation) { c.Instead = "sls/cn-hangzhou/ali-test-project/job" },
		"second attempt": func(c *fetch.Creation) { c.Attempt = 2 },
	} {
		c := creation(t, "*")
		change(&c)
		ref, err := p.NewJob(c)
		if err != nil {
			t.Fatal(err)
		}
		name := ref.Parts()[2]
		if other, taken := names[name]; taken || !regexp.MustCompile(`^tallyman-[0-9a-f]{32}-[12]$`).MatchString(name) {
			t.Errorf("%s: got %s, as %q", what, name, other)
		}
		names[name] = what
		if again, _ := p.NewJob(c); again.String() != ref.String() {
			t.Errorf("%s: got %s and %s", what, ref, again)
		}
	}
	first, _ := p.NewJob(creation(t, "*"))
	second := creation(t, "*")
	second.Attempt = 2
	if ref, _ := p.NewJob(second); strings.TrimSuffix(ref.String(), "2") != strings.TrimSuffix(first.String(), "1") {
		t.Errorf("got %s and %s, want them to differ in the attempt alone", first, ref)
	}
}

func TestACreatedJobExportsItsWindow(t *testing.T) {
	for _, signature := range []string{"v4", "v1", "v1-sha1"} {
		cloud := started(t, sandbox.Job{})
		cloud.provider.Signature = signature
		cloud.AddLogstore("ali-test-project", sandbox.Logstore{Name: "access", RowsPerMinute: 2})
		c := creation(t, "level: (ERROR or WARN)")
		if _, _, err := cloud.provider.Create(t.Context(), c); !errors.Is(err, fetch.ErrRefused) {
			t.Errorf("%s: a bad query: got %v", signature, err)
		}
		c = creation(t, "not level: INFO")
		c.Maker = "one archive"
		ref, isOwn, err := cloud.provider.Create(t.Context(), c)
		if err != nil || !isOwn {
			t.Fatalf("%s: its own: %t, %v", signature, isOwn, err)
		}
		c.Maker = "archive"
		if again, isOwn, err := cloud.provider.Create(t.Context(), c); err != nil || again.String() != ref.String() || isOwn {
			t.Errorf("%s: once more by another: got %s, its own: %t, %v", signature, again, isOwn, err)
		}
		jobs := slices.DeleteFunc(cloud.Jobs("ali-test-project"), func(j sandbox.Job) bool { return j.Name == "download-123" })
		if len(jobs) != 1 || jobs[0].Name != ref.Parts()[2] {
			t.Fatalf("%s: got %d jobs, not %s", signature, len(jobs), ref)
		}
		export, err := cloud.provider.Export(t.Context(), ref)
		if err != nil || export.State != fetch.Pending && export.State != fetch.Running {
			t.Fatalf("%s: got %+v, %v", signature, export, err)
		}
		for export.State != fetch.Ready && err == nil {
			export, err = cloud.provider.Export(t.Context(), ref)
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.Window, *export.Window, cmp.Comparer(func(a, b fetch.Ref) bool { return a.String() == b.String() })); diff != "" {
			t.Errorf("%s: window (-want +got)\n%s", signature, diff)
		}
		if err := cloud.provider.Delete(t.Context(), ref); err != nil {
			t.Error(err)
		}
		if err := cloud.provider.Delete(t.Context(), ref); !errors.Is(err, fetch.ErrNotFound) {
			t.Errorf("%s: deleted twice: got %v", signature, err)
		}
	}
}

// A service says to a creation what it likes.
func TestRefusalsOfACreation(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		code   string
		want   error
	}{
		{"a quota that is not known", 403, "DownloadJobQuotaExceed", fetch.ErrThrottled},
		{"another", 400, "ExceedQuota", fetch.ErrThrottled},
		{"a limit", 400, "JobCountLimit", fetch.ErrThrottled},
		{"a rate of calls", 403, "MetaOperationQpsLimitExceeded", fetch.ErrThrottled},
		{"no access", 401, "Unauthorized", fetch.ErrAuth},
		{"a time that is past, in spite of its word", 400, "RequestTimeTooSkewed", fetch.ErrAuth},
		{"no such log store", 404, "LogStoreNotExist", fetch.ErrNotFound},
		{"a parameter", 400, "ParameterInvalid", fetch.ErrRefused},
		{"a server's error", 500, "InternalServerError", fetch.ErrTemporary},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := answering(c.status, `{"errorCode":"`+c.code+`","errorMessage":"why"}`)
			if _, _, err := p.Create(t.Context(), creation(t, "*")); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v", c.name, err)
			}
		})
	}
}

// existing is a service where each name is taken, by a job with that configuration.
func existing(t *testing.T, code string, change func(*newConfiguration)) *Provider {
	j, err := newRequest(creation(t, "level: ERROR"))
	if err != nil {
		t.Fatal(err)
	}
	change(&j.Configuration)
	return provider(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPost {
			return answered(400, `{"errorCode":"`+code+`","errorMessage":"it exists"}`), nil
		}
		b, _ := json.Marshal(j)
		return answered(200, `{"status":"RUNNING",`+string(b[1:])), nil
	})
}

// A name that is taken is that of the same job, or it is refused: never taken over.
func TestAJobOfTheSameNameMustBeMadeForTheSame(t *testing.T) {
	for name, change := range map[string]func(*newConfiguration){
		"":                func(*newConfiguration) {},
		"logstore":        func(c *newConfiguration) { c.LogStore = "other" },
		"fromTime":        func(c *newConfiguration) { c.FromTime-- },
		"toTime":          func(c *newConfiguration) { c.ToTime++ },
		"query":           func(c *newConfiguration) { c.Query = "*" },
		"allowInComplete": func(c *newConfiguration) { c.AllowInComplete = true },
		"contentType":     func(c *newConfiguration) { c.Sink.ContentType = "csv" },
		"compressionType": func(c *newConfiguration) { c.Sink.Compression = "lz4" },
	} {
		for code := range existCodes {
			_, _, err := existing(t, code, change).Create(t.Context(), creation(t, "level: ERROR"))
			if conflicts := errors.Is(err, fetch.ErrConflict); conflicts != (name != "") || conflicts && !strings.Contains(err.Error(), name) || !conflicts && err != nil {
				t.Errorf("%s, another %q: got %v", code, name, err)
			}
		}
	}
}

func TestAJobThatExistsAndIsNotThereIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := provider(func(req *http.Request) (*http.Response, error) {
			code := "JobNotExist"
			if req.Method == http.MethodPost {
				code = "JobAlreadyExist"
			}
			return answered(400, `{"errorCode":"`+code+`","errorMessage":"why"}`), nil
		})
		if _, _, err := p.Create(t.Context(), creation(t, "*")); !errors.Is(err, fetch.ErrTemporary) {
			t.Errorf("got %v", err)
		}
	})
}

// An answer that gets lost leaves one job.
func TestACreationWhoseAnswerIsLostIsMadeOnce(t *testing.T) {
	cloud := started(t, sandbox.Job{})
	cloud.AddLogstore("ali-test-project", sandbox.Logstore{Name: "access", RowsPerMinute: 2})
	real, lost := cloud.provider.Client.Transport, false
	cloud.provider.Client = &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
		resp, err := real.RoundTrip(req)
		if req.Method == http.MethodPost && !lost {
			lost = true
			resp.Body.Close()
			return nil, io.ErrUnexpectedEOF
		}
		return resp, err
	})}
	c := creation(t, "*")
	c.Maker = "archive"
	if _, isOwn, err := cloud.provider.Create(t.Context(), c); err != nil || !lost || !isOwn {
		t.Errorf("got %v, lost: %t, its own: %t", err, lost, isOwn)
	}
	if n := len(cloud.Jobs("ali-test-project")); n != 2 { // with that of started
		t.Errorf("%d jobs", n)
	}
}

func TestWhatNoJobCanBeMadeForIsSaid(t *testing.T) {
	p := provider(func(req *http.Request) (*http.Response, error) {
		t.Errorf("asked for %s", req.URL)
		return nil, errors.ErrUnsupported
	})
	long, place := creation(t, strings.Repeat("a", 2000)), creation(t, "*")
	place.Place = parseRef(t, jobRef)
	for _, c := range []fetch.Creation{long, place} {
		if _, _, err := p.Create(t.Context(), c); err == nil {
			t.Errorf("%.60s in %s: got no error", c.Group, c.Place)
		}
		if _, err := p.NewJob(c); err == nil {
			t.Errorf("%.60s in %s: got a name", c.Group, c.Place)
		}
	}
	if err := p.Delete(t.Context(), parsePlace(t, placeRef)); err == nil {
		t.Error("a place is deleted")
	}
}
