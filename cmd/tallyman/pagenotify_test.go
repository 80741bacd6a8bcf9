package main

import (
	"html"
	"strings"
	"testing"
	"time"

	"tallyman/cmd/tallyman/internal/notify"
	"tallyman/verify/archive/ledger"
)

// The page tells whom workers tell, when they last did, and whom they could not, and neither the
// addresses nor the secrets of those; without notify: it tells how to have somebody told.
func TestThePageTellsWhoIsNotified(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	h := newWatching(t, a, store, false).handler(a, "127.0.0.1:8410", "")
	if body := get(t, h, "/notifications", nil).Body.String(); !strings.Contains(body, "Nobody is told") {
		t.Errorf("without targets: %s", body)
	}
	secret := notify.Secret{File: "/etc/tallyman/canary"}
	a.Notify = []notify.Target{
		{Name: "ops", By: notify.DingTalk, URL: secret, Secret: secret, On: []notify.Topic{notify.Failed, notify.Daily}, At: 8 * time.Hour},
		{Name: "boss", By: notify.Mail, Server: "canary.example.com:587", To: "canary@example.com", Password: secret, On: []notify.Topic{notify.Damage}},
		{Name: "fresh", By: notify.Slack, URL: secret, On: []notify.Topic{notify.Gap}},
		{Name: "alive", By: notify.Ping, URL: secret, Every: 5 * time.Minute},
	}
	told := func(target, by string, ago time.Duration, sent bool, message string) ledger.Line {
		return ledger.Line{Kind: ledger.Notified, At: time.Now().Add(-ago), Ref: target, By: by, Sent: sent, Message: message}
	}
	err := store.Ledger().Append(
		told("boss", "w1", 26*time.Hour, false, ""), told("boss", "w1", 26*time.Hour, true, "canary failed"),
		told("boss", "w2", 4*time.Hour, false, ""), told("boss", "w3", 3*time.Hour, false, ""),
		told("ops", "w4", 2*time.Hour, false, ""), told("ops", "w4", 2*time.Hour, true, "all is well"), told("ops", "w5", 0, false, ""),
	)
	if err != nil {
		t.Fatal(err)
	}
	h = newWatching(t, a, store, false).handler(a, "127.0.0.1:8410", "")
	body := ""
	waitFor(t, "the ledger to be read", func() bool {
		body = html.UnescapeString(get(t, h, "/notifications", nil).Body.String())
		return !strings.Contains(body, "being read")
	})
	_, rows, _ := strings.Cut(body, "<tbody>")
	for i, row := range strings.Split(strings.TrimSuffix(rows, "</tbody>"), "</tr>")[:4] {
		for _, want := range [][]string{
			{">ops<", "dingtalk", "failed; daily at 08:00", "2 h ago", ">told<"}, // and the one that is being sent is no failure
			{">boss<", "mail", "damage", "26 h ago", "not told: 2 attempts failed, the last", "3 h ago"},
			{">fresh<", "slack", "gap", "never", "nothing was to be told"},
			{">alive<", "ping", "every 5m while a worker is well", "not written down"},
		}[i] {
			if !strings.Contains(row, want) {
				t.Errorf("row %d lacks %q: %s", i, want, row)
			}
		}
	}
	if strings.Contains(body, "canary") {
		t.Errorf("it tells an address or a secret: %s", body)
	}
}
