package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/verify/archive"
	"tallyman/verify/archive/coverage"
	"tallyman/verify/archive/ledger"
)

const place = "sls://cn-hangzhou/ali-test-project-with-a-long-name/"

// A scene is an archive that some workers watch for targets, in a bubble of time.
type scene struct {
	t       *testing.T
	dir     string
	archive *archive.Archive
	expect  []coverage.Expectation
	targets []Target

	mu    sync.Mutex
	fails error // what each try to send fails with; nil: it arrives
	tried int
	heard []Message
}

func newScene(t *testing.T, targets ...Target) *scene {
	t.Helper()
	s := &scene{t: t, dir: filepath.Join(t.TempDir(), "archive"), targets: targets}
	s.archive = s.open()
	return s
}

func (s *scene) open() *archive.Archive {
	a, err := archive.Open(s.dir, "", archive.SiteAbsent)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// watch has one worker more watch, until stop is called.
func (s *scene) watch() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	w := s.watcher()
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	return func() { cancel(); <-done }
}

func (s *scene) watcher() *Watcher {
	a := s.open()
	return &Watcher{
		Archive: a, Name: "/srv/archive", Targets: slices.Clone(s.targets), Expect: s.expect, Log: slog.New(slog.DiscardHandler),
		send: func(_ context.Context, _ *Target, m Message) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.tried++; s.fails == nil {
				s.heard = append(s.heard, m)
			}
			return s.fails
		},
	}
}

// failWith has each try to send fail from now on, unless err is nil.
func (s *scene) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.tried = err, 0
}

// triedTimes is how often it was tried to send since then.
func (s *scene) triedTimes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried
}

// write appends lines of exports to the ledger: a kind, and the number of an export.
func (s *scene) write(lines ...ledger.Line) {
	s.t.Helper()
	if err := s.archive.Ledger().Append(lines...); err != nil {
		s.t.Fatal(err)
	}
}

func line(kind ledger.Kind, n int) ledger.Line {
	l := ledger.Line{Kind: kind, Ref: fmt.Sprintf("%sdownload-%d", place, n), Key: fmt.Sprintf("sls/cn-hangzhou/ali-test-project-with-a-long-name/download-%d", n)}
	if kind == ledger.Failed {
		l.Cause, l.Message = "job-failed", "it failed"
	}
	return l
}

// after lets time pass, and returns what was heard meanwhile.
func (s *scene) after(d time.Duration) []Message {
	time.Sleep(d)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard
	s.heard = nil
	return heard
}

// hears fails unless one message was heard in that time, with these topics and texts in
// this order, and no line is too long.
func (s *scene) hears(d time.Duration, topics []Topic, texts ...string) Message {
	s.t.Helper()
	heard := s.after(d)
	if len(heard) != 1 {
		s.t.Fatalf("in %v it heard %d messages: %v", d, len(heard), heard)
	}
	m := heard[0]
	if !slices.Equal(m.Topics, topics) || m.ID == "" || m.Archive != s.archive.ID() {
		s.t.Errorf("it heard %+v", m)
	}
	rest := m.Text()
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if rest = after; !ok {
			s.t.Fatalf("no %q where it ought to be in\n%s", text, m.Text())
		}
	}
	for line := range strings.Lines(m.Text()) {
		if n := columnsOf(strings.TrimSuffix(line, "\n")); n > columns {
			s.t.Errorf("%d columns: %s", n, line)
		}
	}
	return m
}

func (s *scene) hearsNothing(d time.Duration) {
	s.t.Helper()
	if heard := s.after(d); len(heard) > 0 {
		s.t.Fatalf("in %v it heard %v", d, heard)
	}
}

func ops(on ...Topic) Target {
	return Target{Name: "ops", By: Slack, On: on, Gather: 30 * time.Second, Interval: 5 * time.Minute, At: 8 * time.Hour}
}

// What happens is told once, however many workers watch: what is worst first, much of it in
// one message, and none of it if it is over by then. That all is well again is told, too.
func TestWhatHappensIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Damage, Failed, Doubt, AllClear))
		for range 3 {
			defer s.watch()()
		}
		s.hearsNothing(time.Hour)
		doubted := line(ledger.Landed, 2)
		doubted.Doubts = []string{"count-mismatch: 3 records, promised 4"}
		s.write(line(ledger.Landed, 1), doubted, line(ledger.Failed, 3))
		time.Sleep(10 * time.Second)
		s.write(line(ledger.Damaged, 1), line(ledger.Failed, 4), line(ledger.Failed, 5), line(ledger.Landed, 5))
		m := s.hears(2*time.Minute, []Topic{Damage, Failed, Doubt}, "Tallyman: 1 damaged, 2 failed, …\n", "Damaged or gone: 1\n damaged: 1\n  sls://cn-hangz…", "download-1",
			"Failed: 2\n job-failed: 2\n", "download-3", "download-4", "Landed with doubts: 1\n count-mismatch: 1\n", "download-2", "archive /srv/archive")
		if len(m.Events) != 4 || m.Events[0].About == "" {
			t.Errorf("events: %+v", m.Events)
		}
		s.hearsNothing(time.Hour)
		s.write(line(ledger.Asked, 3), line(ledger.Asked, 4), line(ledger.Healed, 1), line(ledger.Landed, 2)) // two are tried again
		s.hearsNothing(time.Hour)
		s.write(line(ledger.Landed, 3), line(ledger.Landed, 4))
		s.hears(2*time.Minute, []Topic{AllClear}, "Tallyman: all clear")
		s.write(line(ledger.Damaged, 3), line(ledger.Restored, 3))
		s.hears(10*time.Minute, []Topic{Damage}, "whole again: 1")
		witnessed := line(ledger.Witnessed, 4)
		witnessed.Verdict, witnessed.Doubts = "witness-mismatch", []string{"witness-mismatch: 3 records landed, and the source counts 4"}
		s.write(witnessed)
		s.hears(10*time.Minute, []Topic{Doubt}, "witness-mismatch: 1\n", "download-4")
		s.hearsNothing(time.Hour)
	})
}

// Many failures over a long time are a few messages, and one of them tells how many there
// are.
func TestManyEventsAreFewMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Failed))
		defer s.watch()()
		s.after(time.Minute)
		for n := range 600 {
			s.write(line(ledger.Failed, n))
			time.Sleep(time.Second)
		}
		heard := s.after(10 * time.Minute)
		if len(heard) != 3 || !strings.Contains(heard[2].Text(), "(600 in all)") || !strings.Contains(heard[1].Text(), "and 29") {
			t.Errorf("it heard %v", heard)
		}
	})
}

// A message that can't be sent is sent once it can be, by whoever watches then, with what
// happened since.
func TestWhatCannotBeSentIsSentLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Failed, AllClear))
		stop := s.watch()
		s.after(time.Minute)
		s.failWith(errors.New("no route"))
		s.write(line(ledger.Failed, 1))
		s.hearsNothing(2 * time.Minute)
		if n := s.triedTimes(); n != len(tries) {
			t.Errorf("it tried %d times", n)
		}
		stop()
		s.failWith(fmt.Errorf("%w: too many requests", ErrRefused))
		defer s.watch()()
		s.hearsNothing(6 * time.Hour)
		if n := s.triedTimes(); n < 6 || n > 12 {
			t.Errorf("in six hours it tried %d times", n)
		}
		s.write(line(ledger.Failed, 2))
		s.failWith(nil)
		s.hears(2*time.Hour, []Topic{Failed}, "Tallyman: 2 failed", "download-1", "download-2")
		s.hearsNothing(time.Hour)
		s.failWith(errors.New("no route"))
		s.write(line(ledger.Failed, 3))
		s.hearsNothing(time.Hour)
		s.write(line(ledger.Landed, 1), line(ledger.Landed, 2), line(ledger.Landed, 3))
		s.failWith(nil)
		s.hears(2*time.Hour, []Topic{AllClear}, "all clear")
		s.hearsNothing(time.Hour)
	})
}

// A worker that is killed while it sends keeps nobody from being told, and one that comes
// later begins where the last message ended.
func TestAKilledWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Failed))
		stop := s.watch()
		s.after(time.Minute)
		s.write(line(ledger.Failed, 1))
		s.hears(time.Minute, []Topic{Failed}, "download-1")
		stop()
		s.write(line(ledger.Failed, 2), ledger.Line{Kind: ledger.Notified, Ref: "ops", By: "killed"}, line(ledger.Failed, 3))
		defer s.watch()()
		s.hearsNothing(90 * time.Second)
		s.hears(10*time.Minute, []Topic{Failed}, "Failed: 2 (3 in all)", "download-2", "download-3")
		s.hearsNothing(time.Hour)
	})
}

// What another worker has told a moment ago, behind the last look into the ledger, is not told
// again.
func TestWhatAnotherHasJustToldIsNotToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Failed))
		stop := s.watch()
		s.after(time.Minute)
		stop()
		s.write(line(ledger.Failed, 1))
		w := s.watcher()
		if err := w.look(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
		s.after(time.Minute)
		claim := ledger.Line{Kind: ledger.Notified, Ref: "ops", By: "another"}
		sent := claim
		sent.Sent, sent.Message, sent.Worst = true, "Tallyman: 1 failed", wrong
		s.write(claim, sent)
		if err := w.tell(t.Context(), t.Context(), &w.Targets[0], time.Now()); err != nil {
			t.Fatal(err)
		}
		w.sending.Wait()
		s.hearsNothing(time.Minute)
		if p := w.progressOf(subject{target: "ops"}); p.told.Seq == 0 || !p.wrong {
			t.Errorf("%+v", p)
		}
	})
}

// A target that is new is told what is wrong then.
func TestANewTargetIsToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Failed, Doubt, AllClear))
		accepted := line(ledger.Accepted, 2)
		s.write(line(ledger.Failed, 1), line(ledger.Failed, 2), accepted)
		defer s.watch()()
		s.hears(time.Minute, []Topic{Failed}, "Failed: 1", "download-1")
		s.write(line(ledger.Removed, 1))
		s.hears(10*time.Minute, []Topic{AllClear})
	})
}

// Late places, gaps and places that can't be listed are told once for each time that they
// begin.
func TestFindingsAreToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Gap, Unlisted, AllClear))
		s.expect = []coverage.Expectation{{Place: place, Every: 3 * time.Hour, Grace: 2 * time.Hour}}
		s.write(line(ledger.Landed, 1))
		defer s.watch()()
		defer s.watch()()
		s.hearsNothing(4 * time.Hour)
		s.hears(2*time.Hour, []Topic{Gap}, "Tallyman: 1 late or gaps", "late: 1", "long-name/")
		s.hearsNothing(time.Hour)
		s.write(ledger.Line{Kind: ledger.Listed, Ref: place, Cause: "auth-denied", Message: "no"})
		s.hears(2*time.Minute, []Topic{Unlisted}, "Can't be listed: 1", "auth-denied")
		s.write(ledger.Line{Kind: ledger.Listed, Ref: place, Cause: "auth-denied", Message: "still not"})
		s.hearsNothing(time.Hour)
		s.write(line(ledger.Landed, 2), ledger.Line{Kind: ledger.Listed, Ref: place, Found: 2})
		s.hears(10*time.Minute, []Topic{AllClear})
		s.hears(6*time.Hour, []Topic{Gap}, "late")
	})
}

// The message of the day comes once a day, whatever happened, at its time.
func TestDaily(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Daily))
		midnight := time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
		time.Sleep(time.Until(midnight))
		s.targets[0].At = time.Duration(time.Now().Local().Hour())*time.Hour + 8*time.Hour // eight hours from now, in any zone of whole hours
		if s.targets[0].At >= 24*time.Hour {
			t.Skip("it would be tomorrow in this time zone")
		}
		s.write(line(ledger.Landed, 1), line(ledger.Asked, 2))
		stop := s.watch()
		defer s.watch()()
		s.hearsNothing(7 * time.Hour)
		s.hears(2*time.Hour, []Topic{Daily}, "Tallyman: all is well", "1 landed in 24 hours, 0", "1 waiting")
		s.write(line(ledger.Failed, 2))
		stop()
		s.hearsNothing(22 * time.Hour)
		s.hears(2*time.Hour, []Topic{Daily}, "Tallyman: 1 failed", "0 landed in 24 hours", "Failed: 1\n job-failed: 1")
	})
}

// A watcher that is told to stop ends soon, even while it sends.
func TestTheWatcherStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ops(Failed))
		s.failWith(errors.New("no route"))
		stop := s.watch()
		s.write(line(ledger.Failed, 1))
		s.after(50 * time.Second)
		began := time.Now()
		if stop(); time.Since(began) > stopWithin {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "0123456789": "0123456789", "0123456789a": "012…56789a", "一二三四五": "一二三四五", "一二三四五六": "一…四五六", "ab一二三四五": "ab…三四五"} {
		if got := shorten(text, 10); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
