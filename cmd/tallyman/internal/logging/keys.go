package logging

import (
	"fmt"
	"io"
)

// A Key is one of a line's.
type Key struct{ Name, Means string }

// Keys are all keys that lines have. One that is here keeps its name and its meaning.
var Keys = []Key{
	{"time", "when, by the clock of this machine"},
	{"level", "DEBUG, INFO, WARN or ERROR"},
	{"msg", "what happened; those below keep their words"},
	{"ref", "the reference of an export, without secrets"},
	{"place", "a place that is listed"},
	{"cause", "why something failed, in one word: as with --json"},
	{"error", "why, in a sentence"},
	{"hint", "what to do about it"},
	{"note", "how an export gets on"},
	{"bytes", "of the content that landed"},
	{"records", "of it; -1 if they can't be counted"},
	{"headers", "of it: rows that are headers"},
	{"files", "of it"},
	{"doubts", "why to look twice at what landed"},
	{"listed", "exports that a listing has shown"},
	{"enqueued", "of these, those that were enqueued"},
	{"exports", "how many exports it is about"},
	{"waiting", "exports of a place that wait for their jobs"},
	{"lasted", "how long something was away (in JSON: nanoseconds)"},
	{"next", "how long until it is tried again"},
	{"drain", "how long what is under way may take to end (in JSON: nanoseconds)"},
	{"redis", "the URL of the queue's Redis, without its password"},
	{"queue", "a queue in it"},
	{"id", "of a task in the queue"},
	{"archive", "the directory of the archive"},
	{"archive_id", "its ID"},
	{"version", "of the program"},
	{"address", "at which the page, metrics or health are served"},
	{"page", "whether the page is served there"},
	{"verb", "what was done by the page: retry, cancel or accept"},
	{"by", "who did it, as they named themselves"},
	{"failed", "to how many exports that could not be done"},
	{"target", "who is notified, by name"},
	{"title", "of a notification"},
	{"key", "the path of an export in the archive"},
	{"part", "which part of the archive was rechecked"},
	{"worst", "what was found in it: whole, newer, absent or damaged"},
	{"from", "the address that a request came from"},
	{"tls", "whether that is by TLS"},
	{"path", "of a file that was read"},
	{"why", "why something is not as it could be"},
	{"panic", "a mistake in the program: please report it"},
	{"stack", "where that was"},
}

// Messages are the values of msg that scripts may wait for.
var Messages = []Key{
	{"serving the queue", "Redis and the archive were checked, and tasks are taken"},
	{"serving http", "the page, metrics or health are served at an address"},
	{"landed", "an export is in the archive, proven"},
	{"landed with doubts", "it is, and a person is to look twice"},
	{"failed", "an export is not tried again until someone asks for it"},
	{"listed", "a place of the schedule was listed"},
	{"not listed", "it can't be, by a cause that waiting does not mend"},
	{"not listed yet", "it could not be, and is tried again"},
	{"waiting for that to pass", "what no export is to blame for keeps exports waiting"},
	{"still waiting for that to pass", "that lasts for another hour"},
	{"it is over: exports go on", "that has passed"},
	{"redis is back: exports go on", "the queue's Redis answers again"},
	{"notified", "a target of notify: was told"},
	{"an export is damaged or gone", "a recheck in the background found that"},
	{"stopping: no more exports are begun", "the worker was told to stop"},
	{"stopped: what was received is kept", "it has"},
}

// Describe writes the page that tells of the logs.
func Describe(w io.Writer) error {
	_, err := io.WriteString(w, page())
	return err
}

func page() string {
	text := `Logs go to standard error: a line of text for each event or, with --log-format json,
one JSON object a line. --log-level says how grave an event is to be. No secret is in
them. Keys may be added; those that there are keep their meaning.

Keys:
`
	add := func(keys []Key, width int) {
		for _, k := range keys {
			text += fmt.Sprintf("  %-*s  %s\n", width, k.Name, k.Means)
		}
	}
	add(Keys, 10)
	text += `
What msg says, among others:
`
	add(Messages, 36)
	return text
}
