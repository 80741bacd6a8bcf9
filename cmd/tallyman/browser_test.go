package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

//go:embed testdata/axe/axe.min.js
var axe string

// A chromium is one tab of a Chromium, and all that went wrong in it.
type chromium struct {
	context.Context
	t        *testing.T
	address  string // of the page
	pictures string // a directory for screenshots, or ""
	console  iter.Seq2[chromedp.ConsoleMessage, error]
}

// startChromium starts a Chromium that ends with the test. Its absence skips the test, unless
// TALLYMAN_REQUIRE names it.
func startChromium(t *testing.T, address string) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && !fetchtest.Required("chromium") {
		t.Skip("there is no chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1200, 900))
	allocator, endProcess := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(func() { end(); endProcess() })
	return &chromium{Context: ctx, t: t, address: "http://" + address, pictures: os.Getenv("TALLYMAN_SCREENSHOTS"), console: chromedp.Console(ctx)}
}

// do runs steps in the tab.
func (c *chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	result(c, chromedp.Steps(steps...))
}

// result runs an action in a tab, and returns what comes of it.
func result[T any](c *chromium, a chromedp.Action[T]) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.Context, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, a)
	if err != nil {
		c.t.Fatalf("chromium: %v", err)
	}
	return value
}

// call runs a command of the protocol in a tab.
func call[P, R any](c *chromium, command cdp.Command[P, R], params P) {
	c.t.Helper()
	if _, err := chromedp.Call(c.Context, command, params); err != nil {
		c.t.Fatalf("chromium: %v", err)
	}
}

// isQuiet fails the test if a page has written to the console, or the browser has of one.
func (c *chromium) isQuiet() {
	c.t.Helper()
	result(c, chromedp.Evaluate[any]("console.log('the end')"))
	for message, err := range c.console {
		if err != nil {
			c.t.Error(err)
		}
		if err != nil || message.Text == "the end" {
			return
		}
		c.t.Errorf("the browser says: %s %s", message, message.URL)
	}
}

// open opens a path of the page.
func (c *chromium) open(path string) { c.t.Helper(); c.do(chromedp.Navigate(c.address + path)) }

// shows fails the test unless the page shows each text.
func (c *chromium) shows(texts ...string) {
	c.t.Helper()
	has := result(c, chromedp.Text(chromedp.CSS("main")))
	for _, want := range texts {
		if !strings.Contains(has, want) {
			c.t.Errorf("the page does not show %q: %s", want, has)
		}
	}
}

// becomes waits until the page shows each text, without being loaded again.
func (c *chromium) becomes(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		waitFor(c.t, text, func() bool { return strings.Contains(result(c, chromedp.Text(chromedp.CSS("main"))), text) })
	}
}

// press follows the first link, or presses the first button, that has a
// text.
func (c *chromium) press(text string) {
	c.t.Helper()
	before := result(c, chromedp.Location())
	c.do(chromedp.Click(fmt.Sprintf(`//main//*[self::a or self::button][contains(normalize-space(), %q)]`, text)))
	waitFor(c.t, "another page", func() bool { return result(c, chromedp.Location()) != before })
	c.do(chromedp.WaitReady(chromedp.CSS("main")))
}

// colours are the schemes that a person may prefer.
var colours = []string{"light", "dark"}

// prefers has the browser prefer a scheme of colours.
func (c *chromium) prefers(scheme string) {
	c.t.Helper()
	call(c, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// isAccessible fails the test if axe finds anything in what is shown, in either scheme.
func (c *chromium) isAccessible(name string) {
	c.t.Helper()
	for _, scheme := range colours {
		c.prefers(scheme)
		result(c, chromedp.Evaluate[int](axe+";0"))
		found := result(c, chromedp.Evaluate[string](
			`axe.run({resultTypes: ['violations']}).then(r => JSON.stringify(r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html + ' ' + n.failureSummary)])))`,
			chromedp.EvalAwaitPromise))
		var violations []any
		if err := json.Unmarshal([]byte(found), &violations); err != nil || len(violations) > 0 {
			c.t.Errorf("%s in %s: %v: %s", name, scheme, err, found)
		}
	}
	c.prefers("light")
}

// picture keeps a screenshot, if a directory is named for that.
func (c *chromium) picture(name string) {
	c.t.Helper()
	if c.pictures == "" {
		return
	}
	image := result(c, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(c.pictures, name+".png"), image, 0o644); err != nil {
		c.t.Error(err)
	}
}

// fitsAPhone fails the test if what is shown is wider than a phone.
func (c *chromium) fitsAPhone(name string) {
	c.t.Helper()
	c.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	if width := result(c, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); width > 390 {
		c.t.Errorf("%s is %d pixels wide on a phone", name, width)
	}
	c.picture(name + "-phone")
	c.do(chromedp.EmulateViewport(1200, 900))
}

// pastWeek writes down what an archive of three places has seen in a week.
func pastWeek(t *testing.T, dir string) {
	t.Helper()
	store, err := archive.OpenExisting(dir)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Now().Truncate(time.Hour).Add(-7 * 24 * time.Hour)
	var lines []ledger.Line
	add := func(l ledger.Line) { lines = append(lines, l) }
	of := func(place, name string) ledger.Line {
		return ledger.Line{Ref: place + name, Key: strings.Replace(place, "://", "/", 1) + name, Bytes: 48 << 20, Records: 120_000, Bag: strings.Repeat("0", 64)}
	}
	const logs, backups = "sls://cn-hangzhou/shop-access-log/", "dbs://cn-hangzhou/rm-bp1a2b3c4d5e/"
	for hour := range 7 * 24 {
		at := day.Add(time.Duration(hour) * time.Hour)
		l := of(logs, at.Format("2006-01-02-15"))
		l.Kind, l.At, l.Window = ledger.Landed, at.Add(30*time.Minute), &ledger.Window{Group: "access-log *", From: at.Unix(), To: at.Add(time.Hour).Unix()}
		switch {
		case hour == 150:
			l.Doubts = []string{"count-mismatch: 119998 records, the job promised 120000"}
		case hour > 60 && hour < 64:
			l.Kind, l.Cause, l.Message, l.Window = ledger.Failed, "job-expired", "the job's result has expired", nil
		}
		if hour%24 == 2 {
			b := of(backups, at.Format("20060102")+"-full")
			b.Kind, b.At = ledger.Landed, at
			add(b)
		}
		add(l)
	}
	now := time.Now().Add(-40 * time.Minute)
	for _, place := range []string{logs, backups} {
		add(ledger.Line{Kind: ledger.Listed, At: now, Ref: place, Found: 170})
	}
	add(ledger.Line{Kind: ledger.Rechecked, At: now, Ref: logs, Checked: 165, Worst: "whole"})
	add(ledger.Line{Kind: ledger.Listed, At: now, Ref: "dis://cn-north-4/click-stream/", Cause: "auth-denied", Message: "the key may not list the task's deliveries", RequestID: "b9c1"})
	if err := store.Ledger().Append(lines...); err != nil {
		t.Fatal(err)
	}
}

// A person logs in by the token, and by no other; and logs out.
func logsIn(t *testing.T, c *chromium) {
	t.Helper()
	a, store := newWatched(t)
	s := newWatching(t, a, store, false)
	server := httptest.NewUnstartedServer(nil)
	const token = "0123456789abcdef"
	server.Config.Handler = s.handler(a, server.Listener.Addr().String(), token)
	server.Start()
	t.Cleanup(server.Close)
	before := c.address
	defer func() { c.address = before }()
	c.address = server.URL
	c.open("/exports")
	c.shows("Log in")
	c.isAccessible("the log-in")
	c.fitsAPhone("login")
	c.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong"))
	c.press("Log in")
	c.shows("That is not the token.")
	c.do(chromedp.SendKeys(chromedp.CSS("#token"), token))
	c.press("Log in")
	c.shows("5 exports")
	c.open("/logout")
	c.shows("This browser will need the token again.")
	c.press("Log out")
	c.open("/")
	c.shows("Log in")
}

// A person who has a browser and no shell finds what is wrong, retries a group and sees it
// land, and accepts a doubt; without JavaScript, on a phone, in the dark and by ear.
func TestAPersonMendsAllByTheBrowser(t *testing.T) {
	t.Parallel()
	cloud := testCloud()
	broken := []string{"orders-0", "orders-1", "orders-2"}
	for _, name := range broken {
		cloud.AddJob(testProject, sandbox.Job{Name: name, Statuses: []string{sandbox.JobFailed}, Error: "the role of the job can't write", File: sandbox.File{Rows: 3}})
	}
	cloud.AddJob(testProject, sandbox.Job{Name: "users", Notice: "a shard was split", File: sandbox.File{Rows: 5}})
	cloud.AddJob(testProject, sandbox.Job{Name: "invoices", Statuses: []string{sandbox.JobRunning}})
	cloud.AddProject("shop-access-log")
	slow := sandbox.File{Rows: 60000}
	slow.Faults.SlowBytesPerSecond = 20_000
	cloud.AddJob(testProject, sandbox.Job{Name: "orders-all", File: slow})
	q := newCluster(t, cloud)
	pastWeek(t, q.archive)
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("schedule:\n  - {place: 'sls://cn-hangzhou/shop-access-log/', every: 1h}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	c := startChromium(t, address)
	q.start(t, "worker", "--config", config, "--attempts", "1", "--part-size", "64KiB", "--listen", address, "--page-read-only=false")
	q.enqueue(t, append(broken, "users", "invoices", "orders-all")...)
	q.landed(t, 1)
	waitFor(t, "failures on the page", func() bool { return strings.Contains(getText(t, "http://"+address), "3 failed by job-failed") })

	c.open("/")
	c.shows("sls://cn-hangzhou/shop-access-log/", "165 landed", "1 with doubts", "not known", "3 failed by job-failed", "2 waiting", "on schedule", "the role of the job can't write", "never")
	c.prefers("light")
	c.becomes("orders-all", " %", "/s", "Updated live.")
	c.picture("places")
	c.isAccessible("the places")
	c.prefers("dark")
	c.picture("places-dark")
	c.prefers("light")
	c.fitsAPhone("places")

	c.open("/coverage?place=" + url.QueryEscape("sls://cn-hangzhou/shop-access-log/"))
	c.shows("98.2% of 7d is covered, by 165 exports", "Not covered", ", 3h")
	c.picture("coverage")
	c.isAccessible("the coverage")
	c.prefers("dark")
	c.picture("coverage-dark")
	c.prefers("light")
	c.fitsAPhone("coverage")
	c.press(", 3h")
	c.shows("0% of 3h is covered", "tallyman ensure sls://cn-hangzhou/shop-access-log/")
	c.isAccessible("a gap")
	c.fitsAPhone("gap")
	c.picture("gap")
	c.press("Accept this gap")
	c.shows("Accept that sls://cn-hangzhou/shop-access-log/ lacks a time?", ", 3h.")
	c.isAccessible("the question of a gap")
	c.press("Back")
	c.open("/notifications")
	c.shows("Nobody is told of what happens here")
	c.isAccessible("the notifications")
	c.open("/")

	c.press("3 failed by job-failed")
	c.shows("3 exports", "orders-0", "the role of the job can't write")
	c.do(chromedp.SendKeys(chromedp.CSS("[name=text]"), "orders-1"))
	c.press("Show")
	c.shows("1 export", "orders-1")
	c.picture("exports")
	c.isAccessible("a list")
	c.fitsAPhone("exports")
	c.open("/")

	cloud.UpdateJob(testProject, "orders-all", func(j *sandbox.Job) { j.File.Faults.SlowBytesPerSecond = 0 })
	c.becomes("Nothing runs now.") // and nobody has loaded the page again
	q.landed(t, 2)
	for _, name := range broken {
		cloud.UpdateJob(testProject, name, func(j *sandbox.Job) { j.Statuses = nil })
	}
	c.press("Retry this group")
	c.shows("Retry 3 exports that failed by job-failed?", "orders-0")
	c.isAccessible("the question")
	c.fitsAPhone("question")
	c.press("Retry 3 exports")
	c.shows("3 exports queued again")
	c.isAccessible("what came of it")
	q.landed(t, 5)
	waitFor(t, "no failures on the page", func() bool { return !strings.Contains(getText(t, "http://"+address), "failed by job-failed") })

	c.open("/export?ref=" + url.QueryEscape(testRef("users")))
	c.shows("doubt: notice: a shard was split")
	c.isAccessible("an export")
	c.fitsAPhone("export")
	c.picture("export")
	c.press("Accept")
	c.picture("question")
	c.do(chromedp.SendKeys(chromedp.CSS("#reason"), "the split is known"))
	c.press("Accept 1 export")
	c.shows("1 export accepted", "the split is known")
	c.picture("accepted")
	c.open("/export?ref=" + url.QueryEscape(testRef("users")))
	c.shows("by page, reason: the split is known")

	call(c, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	c.open("/")
	c.shows("sls://cn-hangzhou/shop-access-log/", "5 landed")
	c.press("Accept doubts")
	c.shows("Accept 1 export that landed with doubts in sls://cn-hangzhou/shop-access-log/?")
	call(c, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{})
	c.isQuiet()
	logsIn(t, c)
}
