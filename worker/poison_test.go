package worker

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"tallyman/fetch"
)

// poisonPayloads can't be the payload of a poll or a fetch, and what the reason
// says.
var poisonPayloads = map[string]struct{ payload, says string }{
	"nothing":         {"", "EOF"},
	"no JSON":         {"\xff\x00\x01", "invalid character"},
	"null":            {"null", "version 0"},
	"a list":          {"[]", "cannot unmarshal array"},
	"a text":          {`"` + jobRef + `"`, "cannot unmarshal string"},
	"no reference":    {`{"v":1,"ref":""}`, "want SCHEME"},
	"unknown field":   {`{"v":1,"ref":"` + jobRef + `","url":"https://h/?Signature=` + canary + `"}`, `unknown field "url"`},
	"secret field":    {`{"v":1,"ref":"` + jobRef + `","https://h/?Signature=` + canary + `":1}`, "unknown field"},
	"version 2":       {`{"v":2,"ref":"` + jobRef + `"}`, "version 2, want 1"},
	"no version":      {`{"ref":"` + jobRef + `"}`, "version 0, want 1"},
	"version text":    {`{"v":"1","ref":"` + jobRef + `"}`, "cannot unmarshal string"},
	"reference list":  {`{"v":1,"ref":["` + jobRef + `"]}`, "cannot unmarshal array"},
	"wait number":     {`{"v":1,"ref":"` + jobRef + `","wait":3}`, "cannot unmarshal number"},
	"wait nonsense":   {`{"v":1,"ref":"` + jobRef + `","wait":"a week"}`, "invalid duration"},
	"wait negative":   {`{"v":1,"ref":"` + jobRef + `","wait":"-1s"}`, "wait is negative"},
	"again nonsense":  {`{"v":1,"ref":"` + jobRef + `","again":"now"}`, "parsing time"},
	"signed text":     {`{"v":1,"ref":"` + jobRef + `","signed":"yes"}`, "cannot unmarshal string"},
	"two payloads":    {`{"v":1,"ref":"` + jobRef + `"}{"v":1,"ref":"` + jobRef + `"}`, "something follows"},
	"trailing bytes":  {`{"v":1,"ref":"` + jobRef + `"}xyz`, "something follows"},
	"trailing space":  {`{"v":1,"ref":"` + jobRef + `"} `, "not as this version writes it"},
	"twice a field":   {`{"v":1,"ref":"` + jobRef + `","ref":"` + jobRef + `2"}`, "not as this version writes it"},
	"another case":    {`{"V":1,"REF":"` + jobRef + `"}`, "not as this version writes it"},
	"dots":            {`{"v":1,"ref":"sls://cn-hangzhou/../job"}`, `PROJECT is ".."`},
	"dots at the end": {`{"v":1,"ref":"sls://cn-hangzhou/project/.."}`, `JOB is ".."`},
	"control":         {`{"v":1,"ref":"sls://cn-hangzhou/project/j\u0000b"}`, "control character"},
	"line":            {`{"v":1,"ref":"sls://cn-hangzhou/project/j\nb"}`, "control character"},
	"no UTF-8":        {"{\"v\":1,\"ref\":\"sls://cn-hangzhou/project/j\xffb\"}", "not as this version writes it"},
	"scheme":          {`{"v":1,"ref":"file:///etc/passwd"}`, "want SCHEME"},
	"signed URL":      {`{"v":1,"ref":"https://h.example/a.csv?Expires=1\u0026Signature=` + canary + `"}`, "no place in a queue"},
	"password":        {`{"v":1,"ref":"https://user:` + canary + `@h.example/a.csv"}`, "user name or a password"},
	"bidi":            {"{\"v\":1,\"ref\":\"sls://cn-hangzhou/project/j\u202eb\"}", "control character"},
	"escaped bidi":    {`{"v":1,"ref":"sls://cn-hangzhou/project/j\u202eb"}`, "not as this version writes it"},
	"another dot":     {`{"v":1,"ref":"sls://cn-hangzhou/%2e%2e/job"}`, `PROJECT is "%2e%2e"`},
	"deep":            {strings.Repeat("[", 8000) + strings.Repeat("]", 8000), "cannot unmarshal array"},
	"deep field":      {`{"v":1,"ref":` + strings.Repeat(`{"ref":`, 1500) + `1` + strings.Repeat("}", 1501), "cannot unmarshal object"},
	"huge version":    {`{"v":1e999,"ref":"` + jobRef + `"}`, "cannot unmarshal number"},
	"large version":   {`{"v":99999999999999999999,"ref":"` + jobRef + `"}`, "cannot unmarshal number"},
	"version 1.0":     {`{"v":1.0,"ref":"` + jobRef + `"}`, "cannot unmarshal number"},
	"wait huge":       {`{"v":1,"ref":"` + jobRef + `","wait":"99999999999999h"}`, "invalid duration"},
	"twice a version": {`{"v":2,"v":1,"ref":"` + jobRef + `"}`, "not as this version writes it"},
	"both cases":      {`{"v":1,"ref":"` + jobRef + `","REF":"` + jobRef + `2"}`, "not as this version writes it"},
	"folded case":     {`{"v":1,"ref":"` + jobRef + `","\u017figned":true}`, "not as this version writes it"},
	"a byte order":    {"\ufeff" + `{"v":1,"ref":"` + jobRef + `"}`, "invalid character"},
	"escapes":         {`{"v":1,"ref":"\u0073ls://cn-hangzhou/project/job"}`, "not as this version writes it"},
	"a megabyte":      {`{"v":1,"ref":"sls://cn-hangzhou/project/` + strings.Repeat(canary, 1<<20/len(canary)) + `"}`, "bytes, more than"},
}

func TestUnreadableTasksAreQuarantined(t *testing.T) {
	if testing.Short() {
		t.Skip("one task after another")
	}
	synctest.Test(t, func(t *testing.T) {
		s, w := &scriptedFetcher{ends: []error{nil}}, &Worker{}
		s.setUp(t, w)
		for name, bad := range poisonPayloads {
			for kind, queue := range map[string]string{typePoll: pollQueue, typeFetch: fetchQueue} {
				addRaw(t, w.Queue, queue, name, kind, bad.payload)
			}
		}
		ref := parseRef(t, jobRef)
		addRaw(t, w.Queue, pollQueue, "another's ID", typePoll, string(payloadOf(newTask(ref, Options{}))))
		addRaw(t, w.Queue, fetchQueue, taskID(typePoll, ref.Hash()), typeFetch, string(payloadOf(newTask(ref, Options{}))))
		addRaw(t, w.Queue, fetchQueue, "queue", typePoll, string(payloadOf(newTask(ref, Options{}))))
		addRaw(t, w.Queue, pollQueue, "type", "export:erase", string(payloadOf(newTask(ref, Options{}))))
		addRaw(t, w.Queue, fetchQueue, "type", typePoll+"?Signature="+canary, string(payloadOf(newTask(ref, Options{}))))
		if err := fetchByWorker(t, w, ref); err != nil || len(s.times) != 1 {
			t.Errorf("the next task: %v after %d attempts", err, len(s.times))
		}
		defer startWorker(t, w)()
		time.Sleep(time.Minute) // until all are seen
		for name, bad := range poisonPayloads {
			checkQuarantined(t, w.Queue, pollQueue, name, bad.says)
			checkQuarantined(t, w.Queue, fetchQueue, name, bad.says)
		}
		checkQuarantined(t, w.Queue, pollQueue, "type", `its type is "export:erase", want export:poll`)
		checkQuarantined(t, w.Queue, fetchQueue, "type", "want export:fetch")
		checkQuarantined(t, w.Queue, fetchQueue, "queue", `its type is "export:poll", want export:fetch`)
		checkQuarantined(t, w.Queue, pollQueue, "another's ID", `its ID is "another's ID", want `+taskID(typePoll, ref.Hash()))
		checkQuarantined(t, w.Queue, fetchQueue, taskID(typePoll, ref.Hash()), `want `+taskID(typeFetch, ref.Hash()))
		checkQuarantinedCount(t, w.Queue, 2*len(poisonPayloads)+5)
		if names := dumpArchive(t, w.Archive); strings.Contains(names, canary) || strings.Count(names, `"kind":"asked"`) != 1 {
			t.Errorf("the archive holds %s", names)
		}
	})
}

// checkQuarantinedCount fails the test unless Tasks yields so many tasks that can't
// be read, each with a reason and without a secret.
func checkQuarantinedCount(t testing.TB, q *Queue, want int) {
	t.Helper()
	n := 0
	for task, err := range q.Tasks(t.Context()) {
		switch {
		case err != nil:
			t.Error(err)
		case task.Quarantined && task.Ref.Scheme() == "":
			n++
			if task.ID == "" || !strings.HasPrefix(task.Why, "bad-task: ") || strings.ContainsAny(task.ID+task.Why, canary+"\x1b\u202e\n") && strings.Contains(task.Why, canary) {
				t.Errorf("%+v", task)
			}
		}
	}
	if n != want {
		t.Errorf("Tasks yields %d tasks that can't be read, want %d", n, want)
	}
}

// newTask is the task of an export, as it is enqueued.
func newTask(ref fetch.Ref, o Options) Task {
	return Task{Version: taskVersion, Reference: ref.String(), Options: o.forRef(ref)}
}

func addRaw(t testing.TB, q *Queue, queue, id, kind, payload string) {
	t.Helper()
	_, err := q.client.Enqueue(asynq.NewTask(kind, []byte(payload), asynq.Queue(queue), asynq.TaskID(id), asynq.MaxRetry(unlimitedRetries)))
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
}

func checkQuarantined(t testing.TB, q *Queue, queue, id, says string) {
	t.Helper()
	task, err := q.inspector.GetTaskInfo(queue, id)
	switch {
	case err != nil:
		t.Errorf("%s: %v", id, err)
	case task.State != asynq.TaskStateArchived || !strings.HasPrefix(task.LastErr, "bad-task: ") || !strings.Contains(task.LastErr, says):
		t.Errorf("%s: %v: %q, want it to say %q", id, task.State, task.LastErr, says)
	case strings.Contains(task.LastErr, canary) || len(task.LastErr) > 2*maxTextBytes:
		t.Errorf("%s: a secret, or too much, is in %q", id, task.LastErr)
	}
}

func TestATaskIsReadAsItWasWritten(t *testing.T) {
	again := parseRef(t, jobRef).WithRevision(parseTime("2026-03-04T05:06:07Z"))
	for _, ref := range []fetch.Ref{
		parseRef(t, jobRef), again, again.WithNewOnly(), parseRef(t, jobRef).WithRepair(), again.WithRepair(), parseRef(t, "oss://bucket/a/../<&>.csv?region=cn-hangzhou"), parseRef(t, "dms://cn-hangzhou/1/key?tid=2"),
		parseRef(t, "https://h.example/a%20b.csv?x=1#size=5"),
	} {
		for _, wait := range []Duration{0, 1, Duration(Forever)} {
			want := newTask(ref, Options{Wait: wait})
			task, got, err := parseTask(payloadOf(want))
			if err != nil || got.Key() != ref.Key() || got.String() != ref.String() || !got.Revision().Equal(ref.Revision()) || got.NewOnly() != ref.NewOnly() || got.Repair() != ref.Repair() {
				t.Errorf("%s: %s, %v", ref, got, err)
			}
			if diff := cmp.Diff(want, task); diff != "" || task.Wait != wait {
				t.Errorf("%s: waits %v, %s", ref, task.Wait, diff)
			}
		}
	}
}

func TestATaskOfASignedURLHoldsNoSecret(t *testing.T) {
	ref := parseRef(t, "https://h.example/a.csv?Expires=1&Signature="+canary)
	payload := payloadOf(newTask(ref, Options{}))
	task, got, err := parseTask(payload)
	if err != nil || !task.Signed || got.Signed() || got.Hash() != ref.Hash() || bytes.Contains(payload, []byte(canary)) {
		t.Errorf("%s: %+v, %s, %v", payload, task, got, err)
	}
}

func FuzzParseTask(f *testing.F) {
	for _, bad := range poisonPayloads {
		if len(bad.payload) < 1000 {
			f.Add([]byte(bad.payload))
		}
	}
	for _, ref := range []string{jobRef, "oss://b/p/?region=r", "dms://r/1/k?tid=3", "https://h/p?q=1#md5=9e107d9d372bb6826bd81d3542a419d6"} {
		f.Add(payloadOf(newTask(parseRef(f, ref), Options{Wait: Duration(Forever), Revision: parseTime("2026-03-04T05:06:07Z")})))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		task, ref, err := parseTask(payload)
		if err != nil {
			if Classify(err).Cause != "bad-task" {
				t.Errorf("refused as %v", err)
			}
			return
		}
		again, same, err := parseTask(payloadOf(task))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(task) || same.Key() != ref.Key() || !bytes.Equal(payloadOf(task), payload) {
			t.Errorf("%q: %+v, then %+v, %v", payload, task, again, err)
		}
		if ref.Signed() || strings.Contains("/"+ref.Key()+"/", "/../") {
			t.Errorf("%q is %s", payload, ref.Key())
		}
	})
}
