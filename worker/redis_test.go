package worker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

func mustDial(t testing.TB, a RedisOptions) redis.UniversalClient {
	t.Helper()
	client, err := NewRedisClient(a)
	if err != nil {
		t.Fatalf("%s: %v", a.URL, err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestNewRedisClientReadsTheWholeURL(t *testing.T) {
	for _, test := range []struct {
		address                       RedisOptions
		network, addr, user, password string
		db                            int
		tls                           bool
	}{
		{RedisOptions{URL: "redis://h"}, "tcp", "h:6379", "", "", 0, false},
		{RedisOptions{URL: "redis://h:7000/3"}, "tcp", "h:7000", "", "", 3, false},
		{RedisOptions{URL: "redis://:pw@h"}, "tcp", "h:6379", "", "pw", 0, false},
		{RedisOptions{URL: "redis://user:pw@h:7000/1?max_retries=2"}, "tcp", "h:7000", "user", "pw", 1, false},
		{RedisOptions{URL: "redis://user@h", Password: "other"}, "tcp", "h:6379", "user", "other", 0, false},
		{RedisOptions{URL: "redis://user:pw@h", Password: "other"}, "tcp", "h:6379", "user", "other", 0, false},
		{RedisOptions{URL: "rediss://h/2"}, "tcp", "h:6379", "", "", 2, true},
		{RedisOptions{URL: "unix:///run/redis.sock?db=4"}, "unix", "/run/redis.sock", "", "", 4, false},
		{RedisOptions{URL: "unix://user:pw@/run/redis.sock"}, "unix", "/run/redis.sock", "user", "pw", 0, false},
	} {
		client, ok := mustDial(t, test.address).(*redis.Client)
		if !ok {
			t.Errorf("%s: it is no client of one Redis", test.address.URL)
			continue
		}
		o := client.Options()
		if o.Network != test.network || o.Addr != test.addr || o.Username != test.user || o.Password != test.password ||
			o.DB != test.db || o.MaxRetries != 0 || (o.TLSConfig != nil) != test.tls || o.PoolSize != redisPool {
			t.Errorf("%s: %s %s, user %q, password %q, db %d, %d tries again by go-redis, TLS %v, pool %d", test.address.URL,
				o.Network, o.Addr, o.Username, o.Password, o.DB, o.MaxRetries, o.TLSConfig != nil, o.PoolSize)
		}
	}
}

func TestNewRedisClientKnowsClustersAndSentinels(t *testing.T) {
	cluster, ok := mustDial(t, RedisOptions{URL: "redis://user:pw@h1:7000?addr=h2:7000&addr=h3:7000"}).(*redis.ClusterClient)
	if !ok {
		t.Fatal("a cluster is none")
	}
	if o := cluster.Options(); len(o.Addrs) != 3 || o.Username != "user" || o.Password != "pw" || o.ClusterStateReloadInterval != clusterReload {
		t.Errorf("%q, user %q, password %q, topology each %v", o.Addrs, o.Username, o.Password, o.ClusterStateReloadInterval)
	}
	sentinel, ok := mustDial(t, RedisOptions{URL: "redis://h1:26379/5?master_name=main", Password: "pw"}).(*redis.Client)
	if !ok {
		t.Fatal("a Sentinel's is none")
	}
	if o := sentinel.Options(); o.Addr != "FailoverClient" || o.DB != 5 || o.Password != "pw" || o.MaxRetries != 0 {
		t.Errorf("%s, db %d, password %q, %d tries", o.Addr, o.DB, o.Password, o.MaxRetries)
	}
}

func TestNewRedisClientErrorsHoldNoPassword(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, a := range []RedisOptions{
		{URL: "redis://user:" + canary + "@h:port"}, {URL: "redis://:" + canary + "@h/x"}, {URL: "http://:" + canary + "@h"},
		{URL: "redis://:" + canary + "%zz@h"}, {URL: "redis://:" + canary + "/x@h"}, {URL: "redis://:" + canary + "@h?max_retries=x"},
		{URL: "redis://:" + canary + "@h?nonsense=1"}, {URL: "redis://:" + canary + "@h:1?addr=:x:&db=1"}, {URL: "redis://h/1/2?password=" + canary},
		{URL: "unix://:" + canary + "@"}, {URL: "redis://:" + canary + "@h/x?master_name=m"}, {URL: ""},
		{URL: "rediss://:" + canary + "@h", CAFile: empty}, {URL: "rediss://:" + canary + "@h", CAFile: empty + "x"}, {URL: "redis://h/x", Password: canary},
		{URL: "redis://h/3?addr=h2:1", Password: canary}, {URL: "rediss://h", CertFile: empty, Password: canary}, {URL: "rediss://h", CertFile: empty + "x"},
	} {
		client, err := NewRedisClient(a)
		switch {
		case err == nil:
			t.Errorf("%q is an address", a.URL)
			client.Close()
		case !strings.HasPrefix(err.Error(), "redis ") || strings.Contains(err.Error(), canary):
			t.Errorf("%q: %v", a.URL, err)
		}
	}
}

func TestAPasswordIsNotInTheErrorsOfCalls(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // so that nobody listens there
	q := NewQueue(mustDial(t, RedisOptions{URL: "redis://user:" + canary + "@" + l.Addr().String() + "?max_retries=-1"}))
	for _, err := range callEveryWrite(t, q) {
		if !errors.Is(err, ErrRedis) || strings.Contains(err.Error(), canary) {
			t.Errorf("%v", err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fetch.ErrDrained)
	if _, err := q.Enqueue(ctx, parseRef(t, jobRef), Options{}); !errors.Is(err, fetch.ErrDrained) {
		t.Errorf("cancelled: %v", err)
	}
}

// callEveryWrite calls every method that writes to a queue, and returns the errors.
func callEveryWrite(t testing.TB, q *Queue) map[string]error {
	t.Helper()
	ref := parseRef(t, jobRef)
	_, enqueue := q.Enqueue(t.Context(), ref, Options{})
	_, enqueueFetch := q.enqueueTask(t.Context(), typeFetch, ref, Options{})
	return map[string]error{"register": q.Register(t.Context(), "id"), "enqueue": enqueue, "fetch": enqueueFetch}
}

func TestAPrivateAuthorityIsTrusted(t *testing.T) {
	t.Parallel()
	ca, certificate := authority(t)
	m := miniredis.NewMiniRedis()
	m.RequireUserAuth("user", canary)
	if err := m.StartTLS(&tls.Config{Certificates: []tls.Certificate{certificate}}); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	url := "rediss://user@" + m.Addr() + "/3?max_retries=-1"
	client := mustDial(t, RedisOptions{URL: url, Password: canary, CAFile: ca})
	if err := NewQueue(client).Register(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if got, err := m.DB(3).Get(archiveKey); got != "one" || err != nil {
		t.Errorf("in database 3: %q, %v", got, err)
	}
	client = mustDial(t, RedisOptions{URL: url, Password: canary})
	if err := NewQueue(client).Register(t.Context(), "one"); !errors.Is(err, ErrUntrustedRedis) || strings.Contains(err.Error(), canary) {
		t.Errorf("a stranger is trusted: %v", err)
	}
	client = mustDial(t, RedisOptions{URL: url, Password: "wrong", CAFile: ca})
	if err := NewQueue(client).Register(t.Context(), "one"); !errors.Is(err, ErrUnsuitableRedis) {
		t.Errorf("a wrong password: %v", err)
	}
}

// authority returns a certificate of 127.0.0.1 that signs itself, and its file.
func authority(t testing.TB) (path string, c tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCheckRedisRefusesAnUnsuitableRedis(t *testing.T) {
	for _, test := range []struct{ name, value, says string }{
		{"redis_version", "6.0.16", "want 6.2 or later"},
		{"redis_version", "5.0.3", "want 6.2 or later"},
		{"maxmemory_policy", "allkeys-lru", "noeviction"},
		{"maxmemory_policy", "volatile-ttl", "noeviction"},
		{"redis_version", "6.2.0", ""},
		{"redis_version", "7.4.1", ""},
		{"redis_version", "10.0.0", ""},
		{"redis_version", "", ""},
		{"redis_version", "unstable", ""},
		{"maxmemory_policy", "", ""},
	} {
		p := newFakeRedis(t)
		p.setInfo(test.name, test.value)
		err := NewQueue(p.client).CheckRedis(t.Context())
		if (err != nil) != (test.says != "") || err != nil && (!errors.Is(err, ErrUnsuitableRedis) || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s %q: %v", test.name, test.value, err)
		}
	}
}

func TestARealRedisIsSuitable(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	q := NewQueue(r.client)
	if err := q.CheckRedis(t.Context()); err != nil {
		t.Error(err)
	}
	r.configure(t, "maxmemory-policy", "allkeys-lru")
	if err := q.CheckRedis(t.Context()); !errors.Is(err, ErrUnsuitableRedis) || !strings.Contains(err.Error(), "allkeys-lru") {
		t.Errorf("one that evicts: %v", err)
	}
	if err := newWorker(q, openArchive(t), &scriptedFetcher{}).Run(t.Context()); !errors.Is(err, ErrUnsuitableRedis) {
		t.Errorf("a worker runs: %v", err)
	}
}

// checkUnsuitable fails the test unless Redis refuses every write as unsuitable.
func checkUnsuitable(t *testing.T, q *Queue, says string) {
	t.Helper()
	checkRefused(t, q, ErrUnsuitableRedis, says)
}

func checkRefused(t *testing.T, q *Queue, is error, says string) {
	t.Helper()
	for call, err := range callEveryWrite(t, q) {
		if !errors.Is(err, is) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestARedisThatRefusesWritesMayRecover(t *testing.T) {
	t.Parallel()
	for says, setting := range map[string][2]string{
		"out of memory":  {"maxmemory", "100kb"}, // less than it has when it is empty
		"too few replic": {"min-replicas-to-write", "1"},
	} {
		r := startRedis(t)
		r.configure(t, setting[0], setting[1])
		checkRefused(t, NewQueue(r.client), ErrRedis, says)
	}
	r := startRedis(t)
	if err := r.client.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	checkRefused(t, NewQueue(r.client), ErrRedis, "name the primary")
}

func TestARedisWithAPasswordIsUnsuitableWithoutIt(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", canary)
	checkUnsuitable(t, NewQueue(r.client), "it needs a password")
	checkUnsuitable(t, NewQueue(r.dial(t, ":"+canary+"x@")), "password is wrong")
	checkUnsuitable(t, NewQueue(r.dial(t, "nobody:"+canary+"@")), "password is wrong")
	if err := NewQueue(r.dial(t, ":"+canary+"@")).CheckRedis(t.Context()); err != nil {
		t.Error(err)
	}
	if err := NewQueue(r.client).CheckRedis(t.Context()); !errors.Is(err, ErrUnsuitableRedis) {
		t.Errorf("checked: %v", err)
	}
}

// readmeACL is the ACL that a queue needs, as the README has it.
const readmeACL = "~asynq:* ~tallyman:* &asynq:cancel &tallyman:enqueued -@all +@read +@write +@scripting +@connection +@pubsub -@dangerous +info +cluster|slots"

func TestTheACLOfTheREADMESuffices(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	setUser(t, r, "queue", readmeACL)
	s := redisServer{client: r.dial(t, "queue:"+canary+"@")}
	a, ref, cancelled := openArchive(t), parseRef(t, jobRef), parseRef(t, jobRef+"2")
	begun, shelf := make(chan bool, 10), newFetcher(newProvider(0), a)
	w, ended := newFastWorker(s, a, &fakeFetcher{fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
		if ref.Hash() != cancelled.Hash() {
			return shelf.Fetch(ctx, ref)
		}
		begun <- true
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	stop := startWorker(t, w)
	mustEnqueue(t, w.Queue, ref)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mustEnqueue(t, w.Queue, cancelled)
	<-begun
	if running, err := w.Queue.Remove(cancelled.Hash()); !running || err != nil {
		t.Errorf("running %v, %v", running, err)
	}
	setPhaseWhenFree(t, a, cancelled, archive.Cancelled)
	waitUntilIdle(t, w.Queue, cancelled)
	mustEnqueue(t, w.Queue, parseRef(t, "sls://cn-hangzhou/project/"+strings.Repeat("x", 300)))
	<-ended
	stop()
	if n, err := w.Queue.Requeue(t.Context(), a); n != 0 || err != nil {
		t.Errorf("%d exports, %v", n, err)
	}
	denied, err := r.client.ACLLog(t.Context(), 10).Result()
	if err != nil || len(denied) > 0 {
		t.Errorf("denied: %+v, %v", denied, err)
	}
}

func TestAUserWithTooFewRightsIsUnsuitable(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	setUser(t, r, "reader", "~* &* -@all +@read +@connection +info")
	checkUnsuitable(t, NewQueue(r.dial(t, "reader:"+canary+"@")), "lacks rights")
}

func setUser(t testing.TB, r *realRedis, name, rights string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", name, "on", ">" + canary}
	for _, right := range strings.Fields(rights) {
		args = append(args, right)
	}
	if err := r.client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}
