package worker

import (
	"errors"
	"strings"
	"testing"
)

// Each refusal has the text that Redis, a Sentinel or its client has, and says
// whose mistake it is and what to do.
func TestARefusalSaysWhatToDo(t *testing.T) {
	const sentinels = "redis: all sentinels specified in configuration are unreachable: "
	for text, want := range map[string]struct {
		is   error
		says string
	}{
		sentinels + "redis: nil":                                                                                        {ErrUnsuitableRedis, "see master_name"},
		sentinels + "dial tcp h:1: connection refused\nredis: nil":                                                      {ErrUnsuitableRedis, "see master_name"},
		sentinels + "NOAUTH Authentication required.":                                                                   {ErrUnsuitableRedis, "Sentinel needs a password of its own"},
		sentinels + "WRONGPASS invalid username-password pair":                                                          {ErrUnsuitableRedis, "the password of Sentinel is wrong"},
		sentinels + "dial tcp h:1: connection refused":                                                                  {ErrRedis, "connection refused"},
		"NOAUTH Authentication required.":                                                                               {ErrNoRedisPassword, "it needs a password"},
		"WRONGPASS invalid username-password pair or user is disabled.":                                                 {ErrUnsuitableRedis, "the user name or the password is wrong"},
		"ERR AUTH <password> called without any password configured for the default user.":                              {ErrUnsuitableRedis, "was given a password and has none"},
		"NOPERM this user has no permissions to run the 'evalsha' command":                                              {ErrUnsuitableRedis, "lacks rights"},
		"ERR ACL failure in script: User q has no permissions to run the 'info' command":                                {ErrUnsuitableRedis, "lacks rights"},
		"MOVED 8147 10.0.0.2:6379":                                                                                      {ErrUnsuitableRedis, "?addr=HOST:PORT"},
		"ERR SELECT is not allowed in cluster mode":                                                                     {ErrUnsuitableRedis, "database 0 only"},
		"ERR This instance has cluster support disabled":                                                                {ErrUnsuitableRedis, "take addr out"},
		"ERR DB index is out of range":                                                                                  {ErrUnsuitableRedis, "no database of that number"},
		"TLS handshake with h:1: tls: failed to verify certificate: x509: certificate signed by unknown authority":      {ErrUntrustedRedis, "unknown authority"},
		"TLS handshake with h:1: tls: failed to verify certificate: x509: certificate is valid for a, not h":            {ErrUnsuitableRedis, "not for the name or address"},
		"TLS handshake with h:1: tls: failed to verify certificate: x509: certificate has expired or is not yet valid:": {ErrUnsuitableRedis, "has expired"},
		"remote error: tls: certificate required":                                                                       {ErrNoRedisCertificate, "wants to see a certificate"},
		"remote error: tls: bad certificate":                                                                            {ErrNoRedisCertificate, "wants to see a certificate"},
		"tls: first record does not look like a TLS handshake":                                                          {ErrUnsuitableRedis, "begins with redis://"},
		`redis: can't parse "\x15\x03\x03\x00\x02\x02F"`:                                                                {ErrUnsuitableRedis, "begins with rediss://"},
		"CLUSTERDOWN Hash slot not served":                                                                              {ErrRedis, "its cluster lacks masters"},
		"ERR max number of clients reached":                                                                             {ErrRedis, "raise its maxclients"},
		"READONLY You can't write against a read only replica.":                                                         {ErrRedis, "name the primary"},
		"dial tcp 127.0.0.1:1: connect: connection refused":                                                             {ErrRedis, "connection refused"},
	} {
		err := wrapRedisError(t.Context(), errors.New(text))
		if !errors.Is(err, want.is) || !strings.Contains(err.Error(), want.says) || errors.Is(err, ErrUnsuitableRedis) != errors.Is(want.is, ErrUnsuitableRedis) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
