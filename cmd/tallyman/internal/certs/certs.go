// Package certs gives a server its certificate, and whom it trusts, from files that may change
// while it serves, as where certificates are renewed.
package certs

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Files are those of a server, in PEM.
type Files struct {
	Cert     string // its certificate, with those between it and the authority
	Key      string // of the certificate; "": it is in the same file
	ClientCA string // with the authorities of clients; "": clients need no certificate
}

// Config reads the files, and returns a configuration that reads them again at the handshake
// after they have changed. Where that fails, as in the midst of a change, what was read before
// counts, and log is told once. A client that shows no certificate is let in: who serves it
// looks at its VerifiedChains.
func (f Files) Config(log *slog.Logger) (*tls.Config, error) {
	l := &loader{files: f, log: log}
	first, err := l.load()
	if err != nil {
		return nil, err
	}
	l.config, l.seen = first, f.stamps()
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: first.Certificates,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return l.current(), nil },
	}, nil
}

// protocols are those of HTTP that are spoken.
var protocols = []string{"h2", "http/1.1"}

// A loader has what was last read of the files.
type loader struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex
	config *tls.Config
	seen   [3]stamp // of the files, when they were last read or found to be wrong
}

// A stamp tells a file from the one that was there before it.
type stamp struct {
	changed time.Time
	size    int64
}

func (f Files) stamps() (all [3]stamp) {
	for i, name := range []string{f.Cert, f.Key, f.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			all[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return all
}

// current is the configuration of a handshake.
func (l *loader) current() *tls.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.files.stamps()
	if now == l.seen {
		return l.config
	}
	l.seen = now
	config, err := l.load()
	if err != nil {
		l.log.Warn("a new certificate can't be read: the one before counts", "error", err)
		return l.config
	}
	l.config = config
	l.log.Info("a new certificate was read", "path", l.files.Cert)
	return l.config
}

// load reads the files.
func (l *loader) load() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(l.files.Cert, cmp.Or(l.files.Key, l.files.Cert))
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s and its key: %w", l.files.Cert, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{certificate}}
	if l.files.ClientCA == "" {
		return config, nil
	}
	text, err := os.ReadFile(l.files.ClientCA)
	if err != nil {
		return nil, err
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read %s: no PEM certificate in it", l.files.ClientCA)
	}
	return config, nil
}
