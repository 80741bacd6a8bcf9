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

// A task is where a dump task delivers its files, and in what form.
type task struct {
	id        string
	bucket    string
	prefix    string // without a slash at its end
	partition string // the directories of time below it: "yyyy/MM/dd/HH/mm", or less, or ""
	content   string // what counts records: a verify.Text
	plain     bool   // files are the records and their delimiters, and nothing else
	answer    any
}

const (
	tasksCall = "ListTransferTasks"
	taskCall  = "ShowTransferTask"
)

// task is the dump task that a row is of.
func (p *Provider) task(ctx context.Context, ref fetch.Ref, r *row) (*task, error) {
	if kind := string(r.Destination); kind != "" && !strings.EqualFold(kind, "OBS") {
		return nil, r.answer.Refusal("", "the dump task delivers to "+kind+", not to OBS", fetch.ErrRefused)
	}
	l, err := p.enter(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	if l.to != nil && time.Since(l.asked) < taskTime {
		return l.to, nil
	}
	to, err := p.resolve(ctx, ref, r)
	if err != nil {
		return nil, err
	}
	l.to, l.asked = to, time.Now()
	return to, nil
}

// resolve finds the dump task by its ID among those of the row's stream. Where
// the list does not tell IDs, each of them is asked for.
func (p *Provider) resolve(ctx context.Context, ref fetch.Ref, r *row) (*task, error) {
	id, stream := ref.Parts()[1], r.stream(ref.Parts()[1])
	c := call{
		name: tasksCall, region: ref.Parts()[0], project: string(r.Project),
		path: []string{"v2", string(r.Project), "streams", stream, "transfer-tasks"},
	}
	if r.Project == "" || stream == "" {
		return nil, r.answer.Refusal("", "the row tells no project and no stream", fetch.ErrRefused)
	}
	names, answer, err := p.names(ctx, c, id)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		found, err := p.detail(ctx, c, name)
		if err != nil {
			return nil, err
		}
		if found.id == id || found.id == "" && len(names) == 1 {
			return found, nil
		}
	}
	return nil, answer.Refusal("", fmt.Sprintf("the stream %s has no dump task of ID %s (any more)", api.OneLine(stream), id), fetch.ErrNotFound)
}

// names are those of the dump tasks that may have that ID.
func (p *Provider) names(ctx context.Context, c call, id string) (names []string, a *api.Answer, err error) {
	a, err = api.Retry(ctx, api.ServiceBackoff, c.name, func() (*api.Answer, error) { return p.ask(ctx, c) })
	if err != nil {
		return nil, nil, err
	}
	var said struct {
		Tasks []struct {
			ID   api.LenientString `json:"task_id"`
			Name api.LenientString `json:"task_name"`
		} `json:"tasks"`
	}
	if err := api.Unmarshal(a.Body, &said); err != nil || said.Tasks == nil {
		return nil, nil, refusal(a, "", "the answer is not a list of dump tasks: "+a.Excerpt())
	}
	for _, t := range said.Tasks {
		if t.Name != "" && (t.ID == "" || string(t.ID) == id) {
			names = append(names, string(t.Name))
		}
	}
	return names, a, nil
}

func (p *Provider) detail(ctx context.Context, c call, name string) (*task, error) {
	c.name, c.path = taskCall, append(slices.Clone(c.path), name)
	a, err := api.Retry(ctx, api.ServiceBackoff, c.name, func() (*api.Answer, error) { return p.ask(ctx, c) })
	if err != nil {
		return nil, err
	}
	return readTask(a)
}

// fields are those of an object, by their names without the quotes that the
// vendor's sample has in some.
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

// text is a field as it came, where it is text, or "".
func (f fields) text(name string) (s string) {
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

func (f fields) line(name string) string { return strings.TrimSpace(f.text(name)) }

// descriptions are the names that the vendor gives one thing.
var descriptions = []string{"obs_destination_description", "obs_destination_descriptor"}

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
		id: all.line("task_id"), bucket: bucket, prefix: joined(below, to.line("file_prefix")),
		partition: to.line("partition_format"), answer: a.Scrubbed(),
	}
	t.readForm(to)
	return t, nil
}

// readForm reads what the files are. Those of text are counted by the delimiter
// that is told, compressed or not; of no other is it known what is a record.
func (t *task) readForm(to fields) {
	kind, compression := strings.ToLower(to.line("destination_file_type")), strings.ToLower(to.line("compression_format"))
	t.content = verify.Text("")
	if kind != "" && kind != "text" {
		return
	}
	delimiter := to.text("record_delimiter")
	if delimiter == `\n` {
		delimiter = "\n"
	}
	t.content = verify.Text(delimiter)
	t.plain = compression == "" || compression == "none"
}

// declare is the object of a delivery, of which the service promises a size
// only where it can be the object's.
func (t *task) declare(r *row, found *match) fetch.Object {
	object := found.object
	object.Content = t.content
	if size := r.Bytes.Count(); size > 0 && t.sized(found) && object.Want.Size == verify.Unknown {
		object.Want.Size = size
	}
	return object
}

// sized reports whether the file is nothing but records: neither compressed,
// as the extension of one would show, nor of another form.
func (t *task) sized(found *match) bool { return t.plain && !found.longer }

// doubts are what the object does not hold of the row. The size told may be
// that of the records without the delimiters between or behind them.
func (t *task) doubts(r *row, found *match) []string {
	told, size := r.Bytes.Count(), found.object.Want.Size
	if told <= 0 || size == verify.Unknown || !t.sized(found) {
		return nil
	}
	records, extra := r.Records.Count(), size-told
	if extra == 0 || extra > 0 && (extra == records || extra == records-1) {
		return nil
	}
	return []string{fmt.Sprintf("transferBytes is %d, but the object has %d bytes", told, size)}
}

// joined is a path of those directories, without the slashes around it.
func joined(directories ...string) string {
	var kept []string
	for _, d := range directories {
		if d = strings.Trim(d, "/"); d != "" {
			kept = append(kept, d)
		}
	}
	return strings.Join(kept, "/")
}
