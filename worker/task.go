package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
)

// The types of the tasks and the queues they are in. Each queue has slots of its
// own, so that long fetches do not hold up polls, nor many polls a fetch.
const (
	typePoll      = "export:poll"
	typeFetch     = "export:fetch"
	typePlace     = "place:poll"
	typeDiscover  = "place:discover"
	pollQueue     = "tallyman.poll"
	fetchQueue    = "tallyman.fetch"
	placeQueue    = "tallyman.place"
	discoverQueue = "tallyman.discover"
)

// PendingFetches is the list in Redis of the exports that are ready to be fetched, and
// that no worker has taken yet: what a scaler of workers counts.
const PendingFetches = "asynq:{" + fetchQueue + "}:pending"

// taskID is the ID of an export's poll or fetch: it never has two of a type at
// once.
func taskID(taskType, hash string) string {
	return strings.TrimPrefix(taskType, "export:") + "." + hash
}

// A Task is the payload of a poll and of a fetch: enough to find the export.
// Nothing in it is secret or expires.
type Task struct {
	Version   int    `json:"v"`
	Reference string `json:"ref"`
	Options
}

// Options say how an export is wanted, beside its reference.
type Options struct {
	Wait Duration `json:"wait,omitzero"` // for the job to become ready; 0 is as long as the worker waits

	Revision time.Time `json:"again,omitzero"`   // of the reference: see fetch.Ref.Revision
	New      bool      `json:"new,omitempty"`    // see fetch.Ref.NewOnly
	Repair   bool      `json:"repair,omitempty"` // see fetch.Ref.Repair
	Signed   bool      `json:"signed,omitempty"` // the reference lacks a secret that only one process knows

	Profile string `json:"-"` // the name of the account, for the ledger alone: each process chooses its own
}

// A Duration is a time.Duration that is written as text in JSON, like "1h30m0s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It reads what
// time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

const (
	taskVersion = 1
	maxPayload  = 16 << 10 // bytes; a reference is far shorter
)

// errBadTask is a task that no version of this package has written.
var errBadTask = errors.New("it is not a task of this program")

// payloadOf writes the payload of a task.
func payloadOf[T Task | placeTask | discoverTask](task T) []byte {
	b, _ := json.Marshal(task) // of texts, numbers and times: it can't fail
	return b
}

// forRef returns the options with what the reference's text does not tell.
func (o Options) forRef(ref fetch.Ref) Options {
	o.Revision, o.New, o.Repair, o.Signed = ref.Revision(), ref.NewOnly(), ref.Repair(), ref.Signed()
	return o
}

// applyTo returns the reference with what its text does not tell.
func (o Options) applyTo(ref fetch.Ref) fetch.Ref {
	if !o.Revision.IsZero() {
		ref = ref.WithRevision(o.Revision)
		if o.New {
			ref = ref.WithNewOnly()
		}
	}
	if o.Repair {
		ref = ref.WithRepair()
	}
	return ref
}

// checkTask reads a task that must be of a type. A task under another ID than
// that of its export is refused: it would not be found when it is cancelled.
func checkTask(wantType, taskType, id string, payload []byte) (Task, fetch.Ref, error) {
	if taskType != wantType {
		return Task{}, fetch.Ref{}, fmt.Errorf("%w: its type is %q, want %s", errBadTask, taskType, wantType)
	}
	task, ref, err := parseTask(payload)
	if err != nil {
		return Task{}, fetch.Ref{}, err
	}
	if wantID := taskID(wantType, ref.Hash()); id != wantID {
		return Task{}, fetch.Ref{}, fmt.Errorf("%w: its ID is %q, want %s of %s", errBadTask, id, wantID, ref)
	}
	return task, ref, nil
}

// parseTask reads the payload of a poll or a fetch.
func parseTask(payload []byte) (Task, fetch.Ref, error) {
	var t Task
	var ref fetch.Ref
	err := decodeStrict(payload, &t, &t.Version)
	if err == nil {
		ref, err = fetch.ParseRef(t.Reference)
	}
	switch {
	case err != nil:
	case ref.Signed():
		err = errors.New("a signed URL has no place in a queue")
	case t.Wait < 0:
		err = errors.New("its wait is negative")
	}
	if err != nil {
		return Task{}, fetch.Ref{}, fmt.Errorf("%w: %w", errBadTask, err)
	}
	return t, t.applyTo(ref), nil
}

// A discoverTask is the payload of a discover: a place, and which of its jobs
// are wanted. Nothing in it is secret or expires.
type discoverTask struct {
	Version int      `json:"v"`
	Place   string   `json:"place"`
	Since   string   `json:"since,omitempty"` // as Worker.ParseSince reads it at each run
	Match   string   `json:"match,omitempty"`
	Wait    Duration `json:"wait,omitzero"` // of what is enqueued
}

// readDiscoverTask reads a task of the schedule, and the place that it names.
func readDiscoverTask(t *asynq.Task) (d discoverTask, place fetch.Ref, err error) {
	if t.Type() != typeDiscover {
		return d, place, fmt.Errorf("%w: its type is %q, want %s", errBadTask, t.Type(), typeDiscover)
	}
	if err = decodeStrict(t.Payload(), &d, &d.Version); err == nil {
		place, err = fetch.ParsePlace(d.Place)
	}
	switch {
	case err != nil:
	case d.Wait < 0:
		err = errors.New("its wait is negative")
	default:
		_, err = path.Match(d.Match, "")
	}
	if err != nil {
		return d, place, fmt.Errorf("%w: %w", errBadTask, err)
	}
	return d, place, nil
}

// decodeStrict reads a payload, and its version with it. It refuses one with
// anything in it that this version does not write, since that may mean something
// that would be missed.
func decodeStrict(payload []byte, into any, version *int) error {
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
	if *version != taskVersion {
		return fmt.Errorf("its payload has version %d, want %d", *version, taskVersion)
	}
	if b, err := json.Marshal(into); err != nil || !bytes.Equal(b, payload) { // a name may be there twice, or in another case
		return errors.New("its payload is not as this version writes it")
	}
	return nil
}
