package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Errors of a queue that a caller may branch on.
var (
	// ErrRedis means that Redis does not answer as it should. It may pass.
	ErrRedis = errors.New("redis is not available")
	// ErrUnsuitableRedis is a Redis that can't hold the queue unless someone
	// changes its settings, or the client's.
	ErrUnsuitableRedis = errors.New("redis is not suitable for the queue")
	// ErrNoRedisPassword is a Redis that needs a password and was given none. It
	// wraps ErrUnsuitableRedis, as do the two that follow.
	ErrNoRedisPassword = fmt.Errorf("%w: it needs a password", ErrUnsuitableRedis)
	// ErrUntrustedRedis is a Redis whose certificate is signed by nobody who is
	// trusted.
	ErrUntrustedRedis = fmt.Errorf("%w: its certificate is of an unknown authority", ErrUnsuitableRedis)
	// ErrNoRedisCertificate is a Redis that wants to see a certificate, and was
	// shown none that it trusts.
	ErrNoRedisCertificate = fmt.Errorf("%w: it wants to see a certificate that it trusts", ErrUnsuitableRedis)
	// ErrOtherArchive is a Redis that serves the workers of another archive.
	ErrOtherArchive = errors.New("this Redis serves another archive")
)

// handshake is what an error says that is of TLS.
const handshake = "TLS handshake"

// A redisRefusal is an error that Redis answers, or that its client has, instead
// of doing as it is asked.
type redisRefusal struct {
	contains string // the text of the error; of two texts with … between, both
	kind     error  // ErrRedis, or one that is ErrUnsuitableRedis
	passes   bool   // soon and by itself: it is tried again
	advice   string
}

// redisRefusals are tried in order: a row that is more specific comes first.
var redisRefusals = []redisRefusal{
	{"all sentinels…redis: nil", ErrUnsuitableRedis, false, "Sentinel knows no master of that name: see master_name in the URL"},
	{"all sentinels…NOAUTH", ErrUnsuitableRedis, false, "Sentinel needs a password of its own: it stands before the host in the URL, as USER:PASSWORD@"},
	{"all sentinels…WRONGPASS", ErrUnsuitableRedis, false, "the user name or the password of Sentinel is wrong: these stand before the host in the URL"},
	{"NOAUTH", ErrNoRedisPassword, false, ""},
	{"WRONGPASS", ErrUnsuitableRedis, false, "the user name or the password is wrong"},
	{"without any password configured", ErrUnsuitableRedis, false, "it was given a password and has none"},
	{"NOPERM", ErrUnsuitableRedis, false, "the user lacks rights: see the README for the ACL that the queue needs"},
	{"ACL failure in script", ErrUnsuitableRedis, false, "the user lacks rights: see the README for the ACL that the queue needs"},
	{"unknown command", ErrUnsuitableRedis, false, "it is too old: want Redis 6.2 or later"},
	{"MOVED ", ErrUnsuitableRedis, false, "it is a node of a cluster: add a second node to the URL, as ?addr=HOST:PORT"},
	{"SELECT is not allowed in cluster mode", ErrUnsuitableRedis, false, "it is a node of a cluster, which has database 0 only: add a second node to the URL, as ?addr=HOST:PORT"},
	{"cluster support disabled", ErrUnsuitableRedis, false, "it is no cluster: take addr out of the URL"},
	{"DB index is out of range", ErrUnsuitableRedis, false, "it has no database of that number"},
	{"certificate signed by unknown authority", ErrUntrustedRedis, false, ""},
	{"x509: certificate has expired or is not yet valid", ErrUnsuitableRedis, false, "its certificate has expired, or a clock is wrong"},
	{"x509: ", ErrUnsuitableRedis, false, "its certificate is not for the name or address in the URL, or that it has in the cluster"},
	{"certificate required", ErrNoRedisCertificate, false, ""},
	{"tls: bad certificate", ErrNoRedisCertificate, false, ""},
	{"tls: unknown certificate", ErrNoRedisCertificate, false, ""},
	{"first record does not look like a TLS", ErrUnsuitableRedis, false, "the port is one without TLS: the URL of such a Redis begins with redis://"},
	{`can't parse "\x15\x03`, ErrUnsuitableRedis, false, "the port is one of TLS: the URL of such a Redis begins with rediss://"},
	{"READONLY", ErrRedis, true, "it is a read-only replica: name the primary"},
	{"NOREPLICAS", ErrRedis, true, "it takes nothing while it has too few replicas: see its min-replicas-to-write"},
	{"MASTERDOWN", ErrRedis, true, "it is a replica that has lost its primary: name the primary"},
	{"CLUSTERDOWN", ErrRedis, true, "its cluster lacks masters: see CLUSTER INFO"},
	{"TRYAGAIN", ErrRedis, true, "its cluster is moving keys"},
	{"max number of clients", ErrRedis, true, "it takes no more clients: raise its maxclients, or end some"},
	{"OOM", ErrRedis, false, "it is out of memory: give it more, or a larger maxmemory"},
	{"MISCONF", ErrRedis, false, "it can't write to its disk: see its log"},
	{"WRONGTYPE", ErrRedis, false, "a key of the queue holds something else"},
	{"LOADING", ErrRedis, true, "it is reading what it knew before it was started"},
}

func findRefusal(text string) *redisRefusal {
	for i := range redisRefusals {
		one, other, _ := strings.Cut(redisRefusals[i].contains, "…")
		if strings.Contains(text, one) && strings.Contains(text, other) {
			return &redisRefusals[i]
		}
	}
	return nil
}

// wrapRedisError makes an error of a command that Redis did not carry out
// ErrUnsuitableRedis if someone must see to it, and ErrRedis if it may pass. If ctx
// has ended, its cause is the error, unless Redis is unsuitable.
func wrapRedisError(ctx context.Context, err error) error {
	text := safeText(err)
	refusal := findRefusal(text)
	switch {
	case ctx.Err() != nil && (refusal == nil || errors.Is(ErrRedis, refusal.kind)):
		return context.Cause(ctx)
	case refusal == nil:
		return fmt.Errorf("%w: %s", ErrRedis, text)
	case refusal.advice == "":
		return fmt.Errorf("%w (%s)", refusal.kind, text)
	}
	return fmt.Errorf("%w: %s (%s)", refusal.kind, refusal.advice, text)
}
