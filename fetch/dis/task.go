package dis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A task says where a dump task delivers its files, and in what form.
type task struct {
	id        string
	bucket    string
	prefix    string // without a slash at its end
	partition string // of the time directories below it: "yyyy/MM/dd/HH/mm", or fewer of these, or ""
	content   string // what counts the records: a verify.Text
	onlyText  bool   // files hold records and delimiters, and nothing else
	answer    any
}

const (
	tasksCall = "ListTransferTasks"
	taskCall  = "ShowTransferTask"
)

// findTask returns the dump task that a row is of, as it was at most taskLifetime
// ago.
func (p *Provider) findTask(ctx context.Context, ref fetch.Ref, r *row) (*task, error) {
	if kind := string(r.Destination); kind != "" && !strings.EqualFold(kind, "OBS") {
		return nil, r.answer.Refusal("", "the dump task delivers to "+kind+", not to OBS", fetch.ErrRefused)
	}
	c, unlock, err := p.lockCache(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if c.task == nil || time.Since(c.asked) >= taskLifetime {
		t, err := p.askForTask(ctx, ref, r)
		if err != nil {
			return nil, err
		}
		c.task, c.asked = t, time.Now()
	}
	return c.task, nil
}

// askForTask finds the dump task by its ID among those of the row's stream. If
// the list does not tell IDs, each of its tasks is asked for.
func (p *Provider) askForTask(ctx context.Context, ref fetch.Ref, r *row) (*task, error) {
	id, stream := ref.Parts()[1], r.stream(ref.Parts()[1])
	if r.Project == "" || stream == "" {
		return nil, r.answer.Refusal("", "the row names no project or no stream", fetch.ErrRefused)
	}
	path := []string{"v2", string(r.Project), "streams", stream, "transfer-tasks"}
	ask := func(name string, path []string) (*api.Answer, error) {
		c := call{name: name, region: ref.Parts()[0], project: string(r.Project), path: path}
		return api.Retry(ctx, api.ServiceBackoff, name, func() (*api.Answer, error) { return p.send(ctx, c) })
	}
	list, err := ask(tasksCall, path)
	if err != nil {
		return nil, err
	}
	names, err := taskNames(list, id)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		a, err := ask(taskCall, append(slices.Clone(path), name))
		if err != nil {
			return nil, err
		}
		t, err := readTask(a)
		if err != nil {
			return nil, err
		}
		if t.id == id || t.id == "" && len(names) == 1 {
			return t, nil
		}
	}
	return nil, list.Refusal("", fmt.Sprintf("the stream %s has no dump task of ID %s (any more)", api.OneLine(stream), id), fetch.ErrNotFound)
}

// taskNames returns the names of the listed dump tasks that may have that ID.
func taskNames(a *api.Answer, id string) (names []string, err error) {
	var list struct {
		Tasks []struct {
			ID   api.LenientString `json:"task_id"`
			Name api.LenientString `json:"task_name"`
		} `json:"tasks"`
	}
	if err := api.Unmarshal(a.Body, &list); err != nil || list.Tasks == nil {
		return nil, refusal(a, "", "the answer is not a list of dump tasks: "+a.Excerpt())
	}
	for _, t := range list.Tasks {
		if t.Name != "" && (t.ID == "" || string(t.ID) == id) {
			names = append(names, string(t.Name))
		}
	}
	return names, nil
}

// fields are the fields of an object by their names in lower case, without the
// quotes that some have in the vendor's sample.
type fields map[string]json.RawMessage

func readFields(text []byte) (fields, error) {
	var raw map[string]json.RawMessage
	if err := api.Unmarshal(text, &raw); err != nil {
		return nil, err
	}
	f := fields{}
	for name, value := range raw {
		f[strings.ToLower(strings.Trim(name, `" `))] = value
	}
	return f, nil
}

// text returns a field as it came, or "" if it is not text.
func (f fields) text(name string) (s string) {
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

func (f fields) line(name string) string { return strings.TrimSpace(f.text(name)) }

// descriptions are the names of one field.
var descriptions = []string{"obs_destination_description", "obs_destination_descriptor"}

// readTask reads an answer of ShowTransferTask.
func readTask(a *api.Answer) (*task, error) {
	all, err := readFields(a.Body)
	if err != nil {
		return nil, refusal(a, "", "the answer is not a dump task: "+a.Excerpt())
	}
	var to fields
	for _, name := range descriptions {
		if described, err := readFields(all[name]); err == nil && len(described) > 0 {
			to = described
		}
	}
	bucket, below, _ := strings.Cut(strings.TrimPrefix(to.line("obs_bucket_path"), "obs://"), "/")
	if bucket == "" {
		return nil, refusal(a, "", "the answer names no bucket: "+a.Excerpt())
	}
	t := &task{
		id: all.line("task_id"), bucket: bucket, prefix: joinPath(below, to.line("file_prefix")),
		partition: to.line("partition_format"), content: verify.Text(""), answer: a.Scrubbed(),
	}
	// Records of text are counted by the delimiter, compressed or not. Of other
	// types it is not known what a record is.
	if kind := strings.ToLower(to.line("destination_file_type")); kind == "" || kind == "text" {
		delimiter := to.text("record_delimiter")
		if delimiter == `\n` {
			delimiter = "\n"
		}
		t.content = verify.Text(delimiter)
		compression := strings.ToLower(to.line("compression_format"))
		t.onlyText = compression == "" || compression == "none"
	}
	return t, nil
}

// doubts says if transferBytes can't be the object's size. It may count the
// records without the delimiters between or behind them.
func (t *task) doubts(r *row, found *match) []string {
	promised, size := r.Bytes.Count(), found.object.Want.Size
	if promised <= 0 || size == verify.Unknown || !t.onlyText || found.extended {
		return nil
	}
	records, extra := r.Records.Count(), size-promised
	if extra == 0 || extra > 0 && (extra == records || extra == records-1) {
		return nil
	}
	return []string{fmt.Sprintf("transferBytes is %d, but the object has %d bytes", promised, size)}
}

// joinPath joins directories, and leaves out slashes around them and empty ones.
func joinPath(directories ...string) string {
	var kept []string
	for _, d := range directories {
		if d = strings.Trim(d, "/"); d != "" {
			kept = append(kept, d)
		}
	}
	return strings.Join(kept, "/")
}
