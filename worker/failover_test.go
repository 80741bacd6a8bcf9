package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tallyman/fetch"
)

const readmeSentinelACL = "allchannels -@all +auth +hello +ping +client +subscribe +psubscribe +sentinel|get-master-addr-by-name +sentinel|sentinels"

// What the README says of ACLs is what these tests use.
func TestTheREADMEHasTheACLsThatSuffice(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ACL SETUSER tallyman on >PASSWORD " + readmeACL + "\n", "ACL SETUSER sentinel on >SENTINEL_PASSWORD " + readmeSentinelACL + "\n"} {
		if !strings.Contains(string(readme), line) {
			t.Errorf("it lacks %s", line)
		}
	}
}

// A cluster of which each node has a certificate of its own loses the master of a
// queue, and all lands. The user has the rights that the README names, and the
// queue seems to be new only when it is.
func TestAClusterThatLosesAMasterGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts six servers")
	}
	t.Parallel()
	nodes, ca := startCluster(t)
	url := "rediss://queue@" + nodes[0].addr() + "?addr=" + nodes[1].addr() + "&addr=" + nodes[2].addr()
	before, after := loseMaster(t, RedisOptions{URL: url, Password: canary, CAFile: ca}, nodes, masterOf(t, nodes, fetchQueue))
	if before == after {
		t.Errorf("a replica has taken over, and the queue is still %s", after)
	}
}

// Sentinel gives the queue another master, and all lands.
func TestASentinelThatLosesTheMasterGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts three servers")
	}
	t.Parallel()
	nodes, sentinel, ca := startSentinel(t)
	url := "rediss://sentinel:" + canary + "@" + sentinel.addr() + "?master_name=main&username=queue"
	before, after := loseMaster(t, RedisOptions{URL: url, Password: canary, CAFile: ca}, append(nodes, sentinel), nodes[0])
	if before == after {
		t.Errorf("the replica has taken over, and the queue is still %s", after)
	}
	for says, url := range map[string]string{
		"see master_name":                      strings.Replace(url, "=main", "=mian", 1),
		"Sentinel needs a password of its own": strings.Replace(url, "sentinel:"+canary+"@", "", 1),
		"the password of Sentinel is wrong":    strings.Replace(url, canary, "wrong", 1),
	} {
		if says == "Sentinel needs a password of its own" {
			sentinel.must(t, "ACL SETUSER default off")
		}
		err := NewQueue(mustDial(t, RedisOptions{URL: url, Password: canary, CAFile: ca})).CheckRedis(t.Context())
		if !errors.Is(err, ErrUnsuitableRedis) || !strings.Contains(err.Error(), says) {
			t.Errorf("want %s: %v", says, err)
		}
	}
}

// loseMaster has a worker land exports while a master dies, and returns the identity
// of the queue before and after. Status answers all the time.
func loseMaster(t *testing.T, o RedisOptions, nodes []tlsNode, victim tlsNode) (before, after string) {
	t.Helper()
	for _, node := range nodes {
		if !strings.Contains(node.Send("INFO server"), "sentinel") {
			node.must(t, "ACL SETUSER queue on >"+canary+" "+readmeACL)
		}
		node.Send("ACL LOG RESET")
	}
	outage, told := newOutage("redis")
	o.Outage, o.Worker = outage, true
	a := openArchive(t)
	w, ended := newFastWorker(redisServer{client: mustDial(t, o)}, a, newFetcher(newProvider(0), a))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stop := startWorker(t, w)
	waitUntil(t, "a queue that is marked", func() bool { before, _ = w.Queue.identity(ctx); return before != "" })
	for range 5 {
		if same, err := w.Queue.identity(ctx); same != before || err != nil {
			t.Errorf("the queue is %q, and then %q: %v", before, same, err)
		}
	}

	const each = 30 // before and after
	var refs []fetch.Ref
	land := func() {
		for range each {
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-ctx.Done():
				t.Fatalf("not all have landed: it said %q", told.said)
			}
		}
	}
	add := func() {
		for range each {
			refs = append(refs, parseRef(t, fmt.Sprint(jobRef, len(refs))))
			if _, err := w.Queue.Enqueue(ctx, refs[len(refs)-1], Options{}); err != nil {
				t.Error(err)
			}
		}
	}
	add()
	land()
	var slowest atomic.Int64
	asked := make(chan bool)
	o.Patience, o.Outage, o.Worker = time.Second, nil, false
	asking, answered := context.WithCancel(ctx)
	go func() {
		defer close(asked)
		for asking.Err() == nil {
			began := time.Now()
			short, cancel := context.WithTimeout(ctx, o.Patience)
			c := &Client{Archive: a, Queue: NewQueue(mustDial(t, o))}
			if err := c.Queue.CheckRedis(short); err == nil {
				_, _ = c.Status(ctx)
			}
			cancel()
			slowest.Store(max(slowest.Load(), int64(time.Since(began))))
			_ = fetch.Sleep(asking, 100*time.Millisecond)
		}
	}()
	victim.Kill()
	died := time.Now()
	add()
	t.Logf("what was enqueued meanwhile was in the queue after %v", time.Since(died))
	land()
	t.Logf("all had landed after %v; the slowest status took %v; it said %q", time.Since(died), time.Duration(slowest.Load()), told.said)
	answered()
	<-asked
	mustLand(t, a, refs...)
	after, err := w.Queue.identity(ctx)
	if err != nil {
		t.Error(err)
	}
	stop()
	for _, node := range nodes {
		if denied := node.Send("ACL LOG"); node.addr() != victim.addr() && !strings.HasPrefix(denied, "*0") {
			t.Errorf("%s denied %s", node.addr(), denied)
		}
	}
	return before, after
}
