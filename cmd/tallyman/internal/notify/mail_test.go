package notify

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A mailServer is a fake of a server of SMTP.
type mailServer struct {
	address string
	config  *tls.Config // nil: it knows no STARTTLS
	auth    string      // the user and the password that it wants, as AUTH PLAIN has them
	refuses string      // a recipient that it answers 550
	took    chan string
}

// start serves until the test ends.
func (s *mailServer) start(t *testing.T, implicit bool) *mailServer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s.address, s.took = listener.Addr().String(), make(chan string, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if implicit {
				conn = tls.Server(conn, s.config)
			}
			s.serve(conn, implicit)
			conn.Close()
		}
	}()
	return s
}

func (s *mailServer) serve(conn net.Conn, isTLS bool) {
	lines := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 mail\r\n")
	for isIn := s.auth == ""; ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		answer := "250 ok"
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "EHLO"):
			answer = "250-mail\r\n250 8BITMIME"
			if s.config != nil && !isTLS {
				answer = "250-mail\r\n250 STARTTLS"
			} else if s.auth != "" {
				answer = "250-mail\r\n250 AUTH PLAIN LOGIN"
			}
		case line == "STARTTLS":
			fmt.Fprint(conn, "220 go on\r\n")
			conn = tls.Server(conn, s.config)
			lines, isTLS = bufio.NewReader(conn), true
			continue
		case strings.HasPrefix(line, "AUTH PLAIN "):
			isIn = line[len("AUTH PLAIN "):] == base64.StdEncoding.EncodeToString([]byte("\x00"+s.auth))
			answer = map[bool]string{true: "235 welcome", false: "535 no: " + line}[isIn]
		case !isIn && strings.HasPrefix(line, "MAIL"):
			answer = "530 who are you?"
		case strings.HasPrefix(line, "RCPT") && s.refuses != "" && strings.Contains(line, s.refuses):
			answer = "550 no such user"
		case line == "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			text := ""
			for line, err = lines.ReadString('\n'); err == nil && line != ".\r\n"; line, err = lines.ReadString('\n') {
				text += strings.TrimPrefix(line, ".") // which was doubled
			}
			s.took <- text
		case line == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		}
		fmt.Fprint(conn, answer+"\r\n")
	}
}

// Mail arrives whole by each way to have TLS, as its user. No password goes to a server
// without TLS, and none is in an error.
func TestMailArrives(t *testing.T) { // not parallel: it sets roots
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	roots = x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	defer func() { roots = nil }()
	config := &tls.Config{Certificates: certified.TLS.Certificates}
	m := Message{ID: "1", Title: "Tallyman: 1 failed – 一", Lines: []string{".", "sls://cn-hangzhou/p/j=1", "一", strings.Repeat("x", 200)}}
	login := "ops\x00" + canary
	for name, tt := range map[string]struct {
		server   mailServer
		tls      string
		user, to string
		says     string // in the error; "": it arrives
		refused  bool
	}{
		"implicit TLS":             {server: mailServer{config: config, auth: login}, tls: TLSImplicit, user: "ops"},
		"STARTTLS":                 {server: mailServer{config: config, auth: login}, tls: TLSStart, user: "ops"},
		"no TLS, nobody":           {tls: TLSNone},
		"no STARTTLS":              {tls: TLSStart, says: "STARTTLS"},
		"a password without TLS":   {server: mailServer{auth: login}, tls: TLSNone, user: "ops", says: "auth"},
		"another password":         {server: mailServer{config: config, auth: "ops\x00other"}, tls: TLSStart, user: "ops", says: "535"},
		"nobody where one must be": {server: mailServer{config: config, auth: login}, tls: TLSStart, says: "530", refused: true},
		"who is not there":         {server: mailServer{refuses: "duty"}, tls: TLSNone, says: "550", refused: true},
		"an address that is none":  {tls: TLSNone, to: "ops", says: "address"},
	} {
		s := tt.server.start(t, tt.tls == TLSImplicit)
		target := Target{Name: "mail", By: Mail, Server: s.address, TLS: tt.tls, From: "tallyman@example.com", To: "ops@example.com, duty@example.com", User: tt.user, Password: secretFile(t, canary)}
		if tt.to != "" {
			target.To = tt.to
		}
		err := target.Send(t.Context(), m)
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), canary) || errors.Is(err, ErrRefused) != tt.refused {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkMail(t, name, <-s.took, m)
	}
}

// checkMail compares what arrived with what was sent.
func checkMail(t *testing.T, name, took string, m Message) {
	t.Helper()
	got, err := mail.ReadMessage(strings.NewReader(took))
	if err != nil {
		t.Fatal(name, err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != m.Title {
		t.Errorf("%s: the subject is %q, %v", name, subject, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(got.Body))
	if text := strings.ReplaceAll(string(body), "\r\n", "\n"); err != nil || text != m.Text()+"\n" {
		t.Errorf("%s: the body is %q, %v", name, text, err)
	}
	if to, err := got.Header.AddressList("To"); err != nil || len(to) != 2 || got.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("%s: %v, %v", name, got.Header, err)
	}
}

// A command has the message on its standard input, its error says what it says, and one
// that does not end is ended.
func TestACommandReadsTheMessage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(ctx context.Context, script string) error {
		path := filepath.Join(dir, "tell")
		if err := os.WriteFile(path, []byte("#!/bin/sh\ncd "+dir+"\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		return (&Target{Name: "ops", By: Command, Command: path}).Send(ctx, Message{Title: "Tallyman: a test", Lines: []string{"it works"}})
	}
	if err := run(t.Context(), `(echo "$TALLYMAN_TITLE"; echo "$TALLYMAN_TEXT"; cat) >out`); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "out"))
	if want := "Tallyman: a test\nTallyman: a test\nit works\n{\"schema\":\"tallyman.message/v1\""; err != nil || !strings.HasPrefix(string(text), want) {
		t.Errorf("it read %s, %v", text, err)
	}
	if err := run(t.Context(), "echo no pager >&2; exit 3"); err == nil || !strings.HasSuffix(err.Error(), "exit status 3: no pager") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := run(ctx, "exec sleep 60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
