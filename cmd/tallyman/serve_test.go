package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// filesCommand is "files DIR": it serves the files of a directory over HTTP
// and sets FILES to where they are, FILEHOST to the host.
func filesCommand(ts *testscript.TestScript, _ bool, args []string) {
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Defer(server.Close)
	ts.Setenv("FILES", server.URL)
	ts.Setenv("FILEHOST", server.Listener.Addr().String())
}

// portCommand is "port": it sets PORT to a port at which nobody listens.
func portCommand(ts *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Check(listener.Close())
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	ts.Setenv("PORT", port)
}

// metricsCommand is "metrics FILE": it writes what is told at PORT to those who watch.
func metricsCommand(ts *testscript.TestScript, _ bool, args []string) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://127.0.0.1:"+ts.Getenv("PORT")+"/metrics", nil)
	ts.Check(err)
	resp, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), said, 0o644))
}

// serveCommand is "serve FILE...": it gives the answers that are written in the
// files, head and body, one a request and the last for ever. It sets RAW and
// RAWHOST as the files command does. $NAME in an answer is expanded.
func serveCommand(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	ts.Setenv("RAWHOST", listener.Addr().String())
	ts.Setenv("RAW", "http://"+listener.Addr().String())
	script := &answers{}
	for _, name := range args {
		text := ts.ReadFile(name)
		for _, variable := range []string{"RAW", "RAWHOST", "FILES"} {
			text = strings.ReplaceAll(text, "$"+variable, ts.Getenv(variable))
		}
		head, body, _ := strings.Cut(text, "\n\n")
		script.texts = append(script.texts, strings.ReplaceAll(head, "\n", "\r\n")+"\r\nConnection: close\r\n\r\n"+body)
	}
	go script.serve(listener)
}

type answers struct {
	mu    sync.Mutex
	texts []string
}

func (a *answers) next() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := a.texts[0]
	if len(a.texts) > 1 {
		a.texts = a.texts[1:]
	}
	return text
}

func (a *answers) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go a.answer(conn)
	}
}

func (a *answers) answer(conn net.Conn) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		conn.Write([]byte(a.next()))
	}
}
