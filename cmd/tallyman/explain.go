package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
	"tallyman/worker"
)

func newExplainCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain REF...",
		Short: "Tell what happened to an export, and what decided it",
		Long: `Explain prints the story of an export, one event a line: when it was asked for,
what failed and why, what landed, what was promised of each object and whether it
held, and what is next. It reads the archive's ledger, the receipt, what was
received so far and, with --redis, the queue. With --json it prints the lines of
the ledger, the receipt and the line of status.

--bundle writes all of that to an archive (.tar.gz) for a vendor's ticket, with the
request IDs of the vendor's answers and without any secret. It has no content of the
export.`,
		Example: `  tallyman explain sls://cn-hangzhou/ali-test-project/download-123
  tallyman explain sls://cn-hangzhou/ali-test-project/download-123 --bundle ticket.tar.gz`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.explain(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&a.Bundle, "bundle", "", "write it all to `FILE`, a .tar.gz that does not exist yet")
	a.AddAllowHost(f)
	cli.GroupFlags(f, "What to tell", "bundle", "allow-host")
	a.AddQueue(f)
	a.AddCatalog(f)
	return cmd
}

// A story is all that is known of one export.
type story struct {
	ref     fetch.Ref
	events  []ledger.Line // the oldest first
	status  statusLine
	receipt *archive.Receipt // nil unless it has landed
}

func (a *app) explain(cmd *cobra.Command, args []string) error {
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	c := &statusCommand{app: a, archive: store, stdout: cmd.OutOrStdout()}
	stop, err := c.readQueue(cmd)
	if err != nil {
		return err
	}
	defer stop()
	if c.catalog, err = a.openCatalog(cmd, store); err != nil {
		return err
	}
	defer c.catalog.Close()
	var stories []story
	providers := a.newProviders()
	for _, arg := range args {
		ref, err := a.reference(arg, providers)
		if err != nil {
			return err
		}
		s := story{ref: ref}
		if s.events, err = c.catalog.Events(ref.Key()); err != nil {
			return err
		}
		status, err := c.reader.Export(ref)
		if err != nil && len(s.events) == 0 {
			return usageError(ref, err)
		}
		if err == nil {
			s.status, s.receipt = c.newStatusLine(status).withHint(), status.Receipt
		} else { // it was removed, and only the ledger knows
			s.status = statusLine{Schema: "tallyman.status/v1", Reference: ref.String(), State: worker.StateRemoved}
		}
		stories = append(stories, s)
	}
	for _, s := range stories {
		if a.JSON {
			err = s.printJSON(c.stdout)
		} else {
			err = s.print(c.stdout, store)
		}
		if err != nil {
			return err
		}
	}
	if a.Bundle != "" {
		err = writeBundle(a.Bundle, store, stories)
	}
	return err
}

// print prints the story for a person.
func (s *story) print(w io.Writer, store *archive.Archive) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, s.ref)
	for _, line := range s.events {
		fmt.Fprintf(&b, "  %s  %s\n", line.At.Local().Format(time.DateTime), tellEvent(&line))
	}
	if r := s.receipt; r != nil {
		fmt.Fprintf(&b, "  in the archive: %s\n", store.Path(s.ref.Key()))
		for _, check := range r.Checks {
			fmt.Fprintf(&b, "    the export: %s\n", tellCheck(check))
		}
		if r.Version != "" {
			fmt.Fprintf(&b, "    by tallyman %s on %s, from %s, in %s\n", r.Version, r.Host, r.Endpoint, cli.Plural(int64(r.Attempts), "attempt"))
		}
		if r.Status != "" || r.RequestID != "" {
			fmt.Fprintf(&b, "    the job said %s (request %s)\n", cmp.Or(r.Status, "nothing"), cmp.Or(r.RequestID, "unknown"))
		}
		if len(r.Objects) == 0 && r.Files > 0 {
			fmt.Fprintf(&b, "    its objects are many: see objects.jsonl\n")
		}
		for _, o := range r.Objects {
			proof := "nothing but its size was promised"
			if o.Proof != "" {
				proof = "proven by its " + o.Proof
			}
			fmt.Fprintf(&b, "    %s, %s: %s\n", o.Name, flagvalue.FormatSize(o.Size), proof)
			for _, check := range o.Checks {
				fmt.Fprintf(&b, "      %s\n", tellCheck(check))
			}
		}
		for _, doubt := range r.Doubts {
			fmt.Fprintf(&b, "    doubt: %s\n", doubt)
		}
	} else {
		fmt.Fprintf(&b, "  now: %s%s\n", s.status.State, s.status.details())
		if s.status.Received > 0 {
			fmt.Fprintf(&b, "  %s of it are kept for the next attempt\n", flagvalue.FormatSize(s.status.Received))
		}
	}
	if s.status.Command != "" {
		fmt.Fprintf(&b, "  next: %s\n", s.status.Command)
		if s.status.Hint != "" {
			fmt.Fprintf(&b, "        # %s\n", s.status.Hint)
		}
	}
	_, err := io.WriteString(w, redact.Text(b.String()))
	return err
}

// printJSON prints the lines of the ledger, the receipt and the line of status.
func (s *story) printJSON(w io.Writer) error {
	for _, line := range s.events {
		if err := cli.PrintJSON(w, line); err != nil {
			return err
		}
	}
	if s.receipt != nil {
		if err := cli.PrintJSON(w, s.receipt); err != nil {
			return err
		}
	}
	return cli.PrintJSON(w, s.status)
}

// tellCheck tells a promise and whether it held.
func tellCheck(c verify.Check) string {
	text := fmt.Sprintf("%s %s: %s", c.Check, c.Want, c.Verdict)
	if c.Got != "" && c.Got != c.Want {
		text += ", it is " + c.Got
	}
	return text
}

// tellEvent tells an event of the ledger in words.
func tellEvent(l *ledger.Line) string {
	var more []string
	add := func(format, value string) {
		if value != "" {
			more = append(more, fmt.Sprintf(format, value))
		}
	}
	words := map[ledger.Kind]string{
		ledger.Asked: "asked for", ledger.Landed: "landed", ledger.Failed: "failed", ledger.Cancelled: "cancelled by a person", ledger.Adopted: "taken into the ledger",
		ledger.Restored: "fetched again and put back", ledger.Damaged: "found damaged", ledger.Absent: "found to be gone", ledger.Healed: "found whole again",
		ledger.Accepted: "accepted as it is", ledger.Removed: "taken out of the lists",
		ledger.Ready: "its job is ready", ledger.Witnessed: "held against the source's own count", ledger.Created: "its job was made", ledger.Deleted: "its job was removed from its service",
	}
	text := words[l.Kind]
	if text == "" {
		text = string(l.Kind) // of a later version
	}
	if l.Kind == ledger.Cancelled && l.By != "" {
		text = "cancelled"
	}
	if l.Kind == ledger.Landed || l.Kind == ledger.Adopted || l.Kind == ledger.Restored {
		more = append(more, flagvalue.FormatSize(l.Bytes))
		if l.Records != ledger.Unknown {
			more = append(more, cli.Plural(l.Records, "record"))
		}
	}
	if w := l.Window; w != nil {
		more = append(more, fmt.Sprintf("from %s to %s", time.Unix(w.From, 0).UTC().Format(time.RFC3339), time.Unix(w.To, 0).UTC().Format(time.RFC3339)))
	}
	if l.Kind == ledger.Witnessed {
		more = append(more, l.Verdict)
	}
	if l.Deleted {
		more = append(more, "and deleted")
	}
	add("as %s", l.Profile)
	add("to wait %s", l.Wait)
	if !l.Ends.IsZero() {
		add("what is to be fetched is there until %s at least", l.Ends.UTC().Format(time.RFC3339))
	}
	add("%s", l.Cause)
	add("%s", l.Message)
	add("request %s", l.RequestID)
	for _, text := range append(l.Problems, l.Doubts...) {
		add("%s", text)
	}
	add("by %s", l.By)
	add("reason: %s", l.Reason)
	if len(more) > 0 {
		text += ": " + strings.Join(more, ", ")
	}
	return text
}

// writeBundle writes stories to a new .tar.gz: each as text, as the lines of the ledger,
// and with its receipt. It removes what it has written if it fails.
func writeBundle(path string, store *archive.Archive, stories []story) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return cli.Usagef("--bundle %s: it is there already", path)
	}
	if err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the bundle: %w", errors.Join(err, os.Remove(path)))
		}
	}()
	zipped := gzip.NewWriter(f)
	t := tar.NewWriter(zipped)
	for i, s := range stories {
		var text, lines bytes.Buffer
		receipt, encodeErr := json.MarshalIndent(s.receipt, "", "  ")
		err = errors.Join(err, encodeErr, s.print(&text, store), s.printJSON(&lines))
		for name, content := range map[string][]byte{"story.txt": text.Bytes(), "events.jsonl": lines.Bytes(), "receipt.json": receipt} {
			if name == "receipt.json" && s.receipt == nil {
				continue
			}
			content = []byte(redact.Text(string(content)))
			header := &tar.Header{Name: fmt.Sprintf("%d/%s", i+1, name), Mode: 0o600, Size: int64(len(content)), ModTime: time.Now()}
			err = errors.Join(err, t.WriteHeader(header))
			_, writeErr := t.Write(content)
			err = errors.Join(err, writeErr)
		}
	}
	return errors.Join(err, t.Close(), zipped.Close(), f.Sync(), f.Close())
}
