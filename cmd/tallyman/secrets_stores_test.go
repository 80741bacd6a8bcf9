package main

import (
	"fmt"
	"html"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// quoting are stores that quote all that they were sent, and more, in each way
// to answer that is not the file.
var quoting = map[string]struct {
	answer func(w http.ResponseWriter, sent string)
	exit   int
}{
	"denied": {func(w http.ResponseWriter, sent string) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>We calculated another than %s</Message>"+
			"<OSSAccessKeyId>canary-id</OSSAccessKeyId><SignatureProvided>%[1]s</SignatureProvided><StringToSign>GET\n\n%[1]s</StringToSign></Error>", sent)
	}, 6},
	"no such key": {func(w http.ResponseWriter, sent string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>The OSSAccessKeyId=canary-id is disabled. %[1]s</Message><RequestId>%[1]s</RequestId></Error>", sent)
	}, 7},
	"expired": {func(w http.ResponseWriter, sent string) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>Request has expired. %s</Message></Error>", sent)
	}, 7},
	"page": {func(w http.ResponseWriter, sent string) { fmt.Fprintf(w, "<html><title>%s</title>", sent) }, 4},
	"error as file": {func(w http.ResponseWriter, sent string) {
		fmt.Fprintf(w, "<Error><Code>a</Code><Message>%s</Message></Error>", sent)
	}, 4},
	"redirect": {func(w http.ResponseWriter, sent string) {
		w.Header().Set("Location", secretURL+"&a="+url.QueryEscape(sent))
		w.WriteHeader(302)
	}, 5},
	"bad redirect": {func(w http.ResponseWriter, sent string) {
		w.Header().Set("Location", "http://[::1?Signature="+sent)
		w.WriteHeader(302)
	}, 5},
	"http elsewhere": {func(w http.ResponseWriter, sent string) {
		w.Header().Set("Location", strings.Replace(secretURL, "https", "http", 1))
		w.WriteHeader(307)
	}, 4},
	"range":      {func(w http.ResponseWriter, sent string) { w.Header().Set("Content-Range", sent); w.WriteHeader(206) }, 5},
	"bad header": {func(w http.ResponseWriter, sent string) { hijacked(w, "HTTP/1.1 200 OK\r\n"+sent+"\r\n\r\n") }, 5},
	"bad status": {func(w http.ResponseWriter, sent string) { hijacked(w, sent+"\r\n\r\n") }, 5},
}

func hijacked(w http.ResponseWriter, answer string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, answer)
}

func TestNoSecretThatAStoreQuotesIsShownOrKept(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	query := "?OSSAccessKeyId=canary-id&Expires=1756539753&Signature=" + url.QueryEscape("canary/sealed+1=") + "&security-token=" + url.QueryEscape(secretToken)
	secrets := []string{"canary/sealed+1=", secretToken, "canary-sealed-7", "Signature=", "Signature%3D", "Expires="}
	for name, store := range quoting {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				store.answer(w, html.EscapeString("canary/sealed+1= "+r.URL.String()+" "+url.QueryEscape(r.URL.String())))
			}))
			t.Cleanup(server.Close)
			keepsSecrets(t, server.URL, nil, []string{server.URL + "/file.csv" + query + "#size=5"}, store.exit, secrets)
		})
	}
	t.Run("its certificate", func(t *testing.T) {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		keepsSecrets(t, server.URL, nil, []string{server.URL + "/file.csv" + query + "#size=5"}, 6, secrets)
	})
}
