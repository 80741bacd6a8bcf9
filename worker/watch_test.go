package worker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whoever watches a queue sees each task where it is, and a Redis that is away as such.
func TestAQueueIsWatched(t *testing.T) {
	r := newFakeRedis(t)
	r.client = r.dialWith(&patience{limit: 1})
	q, ref := NewQueue(r.client), parseRef(t, jobRef)
	mustEnqueue(t, q, ref)
	sizes, waiting, err := q.Sizes(t.Context())
	want := map[string]int{"pending": 1, "active": 0, "scheduled": 0, "retry": 0, "failed": 0}
	if err != nil || waiting != 0 || len(sizes) != 1 || sizes[0].Queue != "poll" || !cmp.Equal(want, sizes[0].Tasks) {
		t.Errorf("Sizes = %v, %d, %v", sizes, waiting, err)
	}
	if running, err := q.Running(t.Context()); len(running) != 0 || err != nil {
		t.Errorf("Running = %v, %v", running, err)
	}
	if tasks, all, err := q.Retrying(t.Context(), 5); len(tasks) != 0 || all != 0 || err != nil {
		t.Errorf("Retrying = %v, %d, %v", tasks, all, err)
	}
	if _, err := q.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	r.offline.Store(true)
	r.client.Close()
	if _, err := q.Ping(t.Context()); !errors.Is(err, ErrRedis) {
		t.Errorf("Ping = %v, want ErrRedis", err)
	}
}

// The places whose jobs are waited for are told with how many exports that are, and when they
// were listed, if they were.
func TestThePlacesThatAreWaitedForAreTold(t *testing.T) {
	r := newFakeRedis(t)
	q := NewQueue(r.client)
	if places, err := q.WaitingPlaces(t.Context()); len(places) != 0 || err != nil {
		t.Errorf("WaitingPlaces = %v, %v", places, err)
	}
	group := func(place, profile string) string {
		return string(payloadOf(placeTask{Version: taskVersion, Place: place, Profile: profile}))
	}
	many, few := group("sls://cn-hangzhou/many/", "prod"), group("sls://cn-hangzhou/few/", "")
	for i, of := range []string{few, many, many} {
		m := member{hash: fmt.Sprint("hash-", i), asked: time.Now(), group: of, payload: "{}"}
		if err := q.wait(t.Context(), m, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	q.redis.HSet(t.Context(), listingsKey, many, "1764700000000 54000")
	q.redis.HSet(t.Context(), groupsKey, "of another version", "1 0")
	want := []WaitingPlace{
		{"sls://cn-hangzhou/many/", "prod", 2, time.UnixMilli(1764700000000).UTC()}, {"sls://cn-hangzhou/few/", "", 1, time.Time{}},
	}
	places, err := q.WaitingPlaces(t.Context())
	if diff := cmp.Diff(want, places); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}
