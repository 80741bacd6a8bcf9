package worker

import (
	"fmt"
	"sync"
	"time"

	"tallyman/fetch"
)

// An Outage tells of something that is away for a while, such as the network or a
// Redis: once when it begins, hourly while it lasts, and once when it is over,
// however often it is tried meanwhile. Its methods may be called by many
// goroutines at once. A nil Outage tells nothing.
type Outage struct {
	What string            // is away: "redis"
	Tell func(OutageEvent) // must not call the Outage; nil for none

	mu      sync.Mutex
	waiting map[string]time.Time // when each that waits was last tried, by who
	began   time.Time
	told    time.Time
}

// An OutageEvent says that an outage begins, lasts, or is over.
type OutageEvent struct {
	What    string
	Err     error         // of the last try; nil once it is over
	Lasted  time.Duration // 0 when it begins
	Waiting int           // how many wait for it to pass
}

// outageInterval is how often an outage is told of while it lasts. A task that has
// not been tried for so long is no longer counted among those that wait: another
// worker may have it.
const outageInterval = time.Hour

// String says it in a sentence.
func (e OutageEvent) String() string {
	lasted := e.Lasted.Round(time.Second)
	if e.Err == nil {
		return fmt.Sprintf("%s: it is over after %v", e.What, lasted)
	}
	text := fmt.Sprintf("%s: %v: waiting for that to pass", e.What, e.Err)
	if e.Lasted > 0 {
		text = fmt.Sprintf("%s: %v: still waiting for that to pass after %v", e.What, e.Err, lasted)
	}
	if asked := fetch.RetryAfter(e.Err); asked > 0 {
		text += fmt.Sprintf("; the service asks for %v more", asked.Round(time.Second))
	}
	return text
}

// Failed says that a try failed because of the outage, and returns how long that
// has lasted. The caller names what it tries, such as a task, by who: the outage is
// over when each that failed has passed.
func (o *Outage) Failed(who string, err error) (lasted time.Duration) {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.forget(now)
	begins := len(o.waiting) == 0
	if begins {
		o.waiting, o.began = map[string]time.Time{}, now
	}
	o.waiting[who] = now
	if begins || now.Sub(o.told) >= outageInterval {
		o.told = now
		o.tell(OutageEvent{o.What, err, now.Sub(o.began), len(o.waiting)})
	}
	return now.Sub(o.began)
}

// Passed says that a try did not fail because of the outage. It may be called after
// every try: it does nothing if who did not fail before.
func (o *Outage) Passed(who string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, waits := o.waiting[who]; !waits {
		return
	}
	delete(o.waiting, who)
	now := time.Now()
	o.forget(now)
	if len(o.waiting) == 0 {
		o.tell(OutageEvent{What: o.What, Lasted: now.Sub(o.began)})
	}
}

// forget drops those whose last try was long ago.
func (o *Outage) forget(now time.Time) {
	for who, tried := range o.waiting {
		if now.Sub(tried) > outageInterval {
			delete(o.waiting, who)
		}
	}
}

func (o *Outage) tell(e OutageEvent) {
	if o.Tell != nil {
		o.Tell(e)
	}
}
