package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
)

// The types of the tasks and the queues they are in. Each queue has slots of
// its own: a long fetch must not keep polls waiting, nor many polls a fetch.
const (
	typePoll      = "export:poll"
	typeFetch     = "export:fetch"
	typeDiscover  = "place:discover"
	pollQueue     = "tallyman.poll"
	fetchQueue    = "tallyman.fetch"
	discoverQueue = "tallyman.discover"
)

// pollID and fetchID name the tasks of an export, so that it has no two of a
// kind at once.
func pollID(hash string) string  { return "poll." + hash }
func fetchID(hash string) string { return "fetch." + hash }

// A Task is the payload of the first two: enough to find the export, and nothing in it
// is secret or expires.
type Task struct {
	Version   int    `json:"v"`
	Reference string `json:"ref"`
	Options
}

// Options say how an export is wanted, beside its reference.
type Options struct {
	Wait Duration `json:"wait,omitzero"` // for the job to become ready; zero is as the worker has it

	Revision time.Time `json:"again,omitzero"`   // of the reference: see fetch.Ref.Again
	Signed   bool      `json:"signed,omitempty"` // its reference lacks a secret, which only the process knew that was given it
}

// A Duration is a duration that marshals to its text.
type Duration time.Duration

// MarshalText is like "1h30m0s".
func (s Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (s *Duration) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Duration(d)
	return err
}

const (
	taskVersion = 1
	maxPayload  = 16 << 10 // bytes; a reference is far shorter
)

// errBadTask is a task that nobody here can have made.
var errBadTask = errors.New("it is no task of ours")

func newTask(ref fetch.Ref, o Options) Task {
	return Task{Version: taskVersion, Reference: ref.String(), Options: o.forRef(ref)}
}

func (t Task) payload() []byte {
	b, _ := json.Marshal(t) // of texts, numbers and times: it can't fail
	return b
}

// readTask reads a task of that type.
func readTask(t *asynq.Task, kind string) (Task, fetch.Ref, error) {
	return checkTask(kind, t.Type(), t.ResultWriter().TaskID(), t.Payload())
}

// checkTask reads what must be a task of that kind. Under another ID than that of
// its export it would not be found when that is to be cancelled.
func checkTask(kind, typed, id string, payload []byte) (Task, fetch.Ref, error) {
	if typed != kind {
		return Task{}, fetch.Ref{}, fmt.Errorf("%w: its type is %q, want %s", errBadTask, typed, kind)
	}
	task, ref, err := parseTask(payload)
	if err != nil {
		return Task{}, fetch.Ref{}, err
	}
	if want := taskID(kind, ref.Hash()); id != want {
		return Task{}, fetch.Ref{}, fmt.Errorf("%w: its ID is %q, want %s of %s", errBadTask, id, want, ref)
	}
	return task, ref, nil
}

func taskID(kind, hash string) string {
	if kind == typeFetch {
		return fetchID(hash)
	}
	return pollID(hash)
}

// parseTask reads a payload. One with anything in it that newTask does not put
// there is refused: it may mean something that this version would pass over.
func parseTask(payload []byte) (Task, fetch.Ref, error) {
	t, err := decodeTask(payload)
	if err != nil {
		return Task{}, fetch.Ref{}, fmt.Errorf("%w: %w", errBadTask, err)
	}
	ref, err := t.ref()
	if err != nil {
		return Task{}, fetch.Ref{}, fmt.Errorf("%w: %w", errBadTask, err)
	}
	return t, ref, nil
}

func decodeTask(payload []byte) (t Task, err error) {
	err = decodeStrict(payload, &t)
	return t, err
}

// A written is a payload as this version writes it.
type taskPayload interface {
	version() int
	payload() []byte
}

func (t Task) version() int { return t.Version }

// decodeStrict reads a payload that has nothing in it that was not written.
func decodeStrict(payload []byte, into taskPayload) error {
	if len(payload) > maxPayload {
		return fmt.Errorf("its payload has %d bytes, more than %d", len(payload), maxPayload)
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows its payload")
	}
	if into.version() != taskVersion {
		return fmt.Errorf("its payload has version %d, want %d", into.version(), taskVersion)
	}
	if !bytes.Equal(into.payload(), payload) { // a name may be there twice, or in another case
		return errors.New("its payload is not written as ours are")
	}
	return nil
}

// ref is the reference of the export that the task names.
func (t Task) ref() (fetch.Ref, error) {
	ref, err := fetch.ParseRef(t.Reference)
	switch {
	case err != nil:
		return fetch.Ref{}, err
	case ref.Signed():
		return fetch.Ref{}, errors.New("a signed URL has no place in a queue")
	case t.Wait < 0:
		return fetch.Ref{}, errors.New("it waits for less than nothing")
	}
	return t.applyTo(ref), nil
}

// forRef fills in what the reference says.
func (o Options) forRef(ref fetch.Ref) Options {
	o.Revision, o.Signed = ref.Revision(), ref.Signed()
	return o
}

// applyTo is the reference with what its text does not say.
func (o Options) applyTo(ref fetch.Ref) fetch.Ref {
	if o.Revision.IsZero() {
		return ref
	}
	return ref.WithRevision(o.Revision)
}

// A discovery is the payload of the third: a place, and which of its jobs are
// wanted. Nothing in it is secret or expires.
type discoverTask struct {
	Version int      `json:"v"`
	Place   string   `json:"place"`
	Since   string   `json:"since,omitempty"` // in the words of who wrote it, to be read when it runs
	Match   string   `json:"match,omitempty"`
	Wait    Duration `json:"wait,omitzero"` // of what is enqueued
}

func (d discoverTask) version() int { return d.Version }

func (d discoverTask) payload() []byte {
	b, _ := json.Marshal(d) // of texts and numbers: it can't fail
	return b
}

// readDiscoverTask reads a task of the schedule, and the place that it names.
func readDiscoverTask(t *asynq.Task) (d discoverTask, place fetch.Ref, err error) {
	if t.Type() != typeDiscover {
		return d, place, fmt.Errorf("%w: its type is %q, want %s", errBadTask, t.Type(), typeDiscover)
	}
	if err = decodeStrict(t.Payload(), &d); err == nil {
		place, err = d.place()
	}
	if err != nil {
		return d, place, fmt.Errorf("%w: %w", errBadTask, err)
	}
	return d, place, nil
}

func (d discoverTask) place() (fetch.Ref, error) {
	place, err := fetch.ParsePlace(d.Place)
	switch {
	case err != nil:
		return fetch.Ref{}, err
	case d.Wait < 0:
		return fetch.Ref{}, errors.New("it waits for less than nothing")
	}
	_, err = path.Match(d.Match, "")
	return place, err
}
