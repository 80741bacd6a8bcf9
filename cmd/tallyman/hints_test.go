package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/dbs"
	"tallyman/fetch/hostguard"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// A hint is chosen by the cause and the error, and names the reference, its place, the
// host or the directory that it is about.
func TestAHintFitsTheError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "receipt.json")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	denied := func(code, message string) error {
		return fmt.Errorf("fetch: %w", &fetch.CallError{Code: code, Message: message, Kind: fetch.ErrAuth})
	}
	missing := func(code string) error { return &fetch.CallError{Code: code, Kind: fetch.ErrNotFound} }
	onFile := func(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }
	job, url := "sls://cn-a/p/j", "https://h/f"
	for _, c := range []struct {
		reference string
		err       error
		want      string
	}{
		{job, fmt.Errorf("fetch: %w", context.Canceled), "run again: what was received is kept"},
		{job, &fetch.NotReadyError{}, "run again later, or wait longer with --wait"},
		{job, &fetch.JobError{State: fetch.Failed}, "export it anew"},
		{job, &fetch.JobError{State: fetch.Expired}, "its result is gone, and no retry brings it back: make the job anew, by tallyman ensure sls://cn-a/p/ --logstore LOGSTORE --since TIME, or in the console of SLS"},
		{"dbs://cn-hangzhou/i/t", &fetch.JobError{State: fetch.Expired}, "its result is gone, and no retry brings it back: make the job anew in the provider's console, and fetch that"},
		{job, &fetch.PanicError{}, "this is a mistake in tallyman: please report it"},
		{job, fmt.Errorf("fetch: %w", &hostguard.NotAllowedError{Host: "a.example:80"}), "if you trust the host, name it: --allow-host a.example:80"},
		{job, &hostguard.NotAllowedError{}, "if you trust the host, name it by --allow-host"},
		{job, &fetch.LimitError{Limit: fetch.LimitEntries}, "if you trust the source, allow more: --max-entries"},
		{job, &fetch.LimitError{Limit: fetch.LimitMemory}, "give decoders more memory: --max-memory"},
		{job, fmt.Errorf("%w: no such key", fetch.ErrRefused), ""},

		{job, &fetch.CallError{Kind: fetch.ErrThrottled, RetryAfter: time.Hour}, "run again after 1h0m0s, as the service asks: what was received is kept"},
		{job, &fetch.CallError{Kind: fetch.ErrTemporary, RetryAfter: time.Hour}, "run again after 1h0m0s, as the service asks: what was received is kept"},

		// A wrong key, and its kinds.
		{job, denied("SignatureNotMatch", "Signature 4549 is not matched."), "check the credentials: the secret is not the one of this access key, or a part of it is missing"},
		{"oss://b/p", denied("SignatureDoesNotMatch", ""), "check the credentials: the secret is not the one of this access key, or a part of it is missing"},
		{job, denied("Unauthorized", "AccessKeyId not found: X"), "check the credentials: the service does not know this access key; it may be deleted, or of another account"},
		{job, denied("InvalidAccessKeyId", ""), "check the credentials: the service does not know this access key; it may be deleted, or of another account"},
		{job, denied("", "there are none: set A and B"), "check the credentials that this process sees: variables must be exported, and a service has a home of its own"},
		{job, denied("", "profile team has none: run"), "check the credentials: places: in the configuration file names the profile"},
		{job, denied("SecurityTokenExpired", ""), "check the credentials: they were temporary, so get new ones"},
		{job, denied("RequestTimeTooSkewed", ""), "set the clock of this machine"},
		{job, denied("Unauthorized", "denied by sts or ram, action: log:GetDownloadJob"), "check the credentials and what they are allowed to do"},
		{url, denied("SignatureDoesNotMatch", ""), "check that the URL is whole, in quotes and not expired, or get a fresh one"},

		// A wrong name, and its kinds.
		{job, missing("ProjectNotExist"), "check the name of the project, and its region: a project is known in its own region alone"},
		{job, missing("JobNotExist"), "see which exports there are: tallyman discover sls://cn-a/p/"},
		{"dbs://cn-a/i/t", missing(""), "see which exports there are: tallyman discover dbs://cn-a/i/"},
		{job + " #nightly", missing("JobNotExist"), "what follows the # was taken for a part of the name: a comment must be on a line of its own"},
		{"dbs://cn-a/i/", missing(""), "check the name of the place, and its region"},
		{"dms://cn-a/1/k", missing(""), "look at the job in the provider's console"},
		{"oss://b/p", missing("NoSuchBucket"), "check the name of the bucket, and whose it is"},
		{"oss://b/p", missing(""), "check the bucket and the prefix: upper and lower case differ, and a directory's ends in /"},
		{url, missing(""), "check the address"},
		{"", missing(""), "look at the job in the provider's console"},

		// What could not be read is not said to be written.
		{job, onFile("open", file, syscall.EACCES), "see that the archive can be read by this user, and run again"},
		{job, onFile("read", file, syscall.EACCES), "see that the archive can be read by this user, and run again"},
		{job, onFile("open", file+".new", syscall.EACCES), "see that the archive can be written to, and run again"},
		{job, onFile("mkdirat", "x", syscall.EACCES), "see that the archive can be written to, and run again"},
		{job, onFile("open", file, syscall.ENOTDIR), "see that the archive can be written to, and run again: a file is where a directory ought to be"},
		{job, onFile("write", file, syscall.EROFS), "see that the archive can be written to, and run again: its file system is read-only"},
		{job, onFile("read", file, syscall.EIO), "see what the system says of this disk (dmesg), before anything is written to it"},
		{job, onFile("write", file, syscall.ENOSPC), "make room and run again: what was received is kept"},
		{job, &archive.NoArchiveError{Dir: "a b", Site: archive.SiteEmpty}, "see that it is the right directory, and that its disk is mounted; to make an archive of it: tallyman init 'a b'"},
		{job, &archive.NoArchiveError{Dir: "a", Site: archive.SiteExports}, "put archive.json back from a copy, or make it anew with the ID that it had: tallyman init a --archive-id ID"},

		// One's own promise is not the job's.
		{url + "#size=5", &verify.Mismatch{Check: verify.CheckSize, Got: "4", Want: "5"}, "see that the #size in the reference is right; if it is, the source has another file"},
		{url + "#md5=9e107d9d372bb6826bd81d3542a419d6", &verify.Mismatch{Check: verify.CheckMD5, Want: "9e107d9d372bb6826bd81d3542a419d6"}, "see that the promise behind # in the reference is right; if it is, the source has another file"},
		{job, &verify.Mismatch{Check: verify.CheckMD5, Want: "9e107d9d372bb6826bd81d3542a419d6"}, "run again; if it happens again, the source does not keep its promise"},
		{url, verify.ErrUnproven, "say what you know of the file: tallyman fetch 'https://h/f#md5=…', or #sha256=…, #crc64=… or #size=…"},
		{url + "#records=5", verify.ErrUnproven, "say what you know of the file: tallyman fetch 'https://h/f#records=5&md5=…', or #sha256=…, #crc64=… or #size=…"},
		{job, verify.ErrUnproven, "look at the job in the provider's console: it promises nothing of its file"},
		{url, fetch.ErrExpired, "get a fresh URL"},
		{job, fetch.ErrExpired, "run again: the job is asked for a fresh URL"},

		// A place is no reference. Other wrong calls have no hint for what made them so.
		{"", &cli.UsageError{Err: errOf(fetch.ParseRef("sls://cn-a/p"))}, "fetch all that is in it by: tallyman discover sls://cn-a/p/ | tallyman fetch -f -"},
		{"", usageError(mustRef(t, job), worker.ErrUnknownExport), "check the reference, and which archive is meant (--archive); to fetch it: tallyman fetch " + job},
		// A web page in place of the file, and an address of no file.
		{url, &fetch.CallError{Kind: fetch.ErrCorrupt, Message: "a page of HTML, \"Log in\""}, "the address leads to a web page, not to the file: see in a browser whether it wants a log-in, and get the address of the file"},
		{job, &fetch.CallError{Kind: fetch.ErrCorrupt, Message: "a page of HTML"}, "the store, or something between, sent a web page in place of the file: see that no proxy or log-in page answers for it, and run again"},
		{job, &fetch.CallError{Kind: fetch.ErrNotFound, Message: "the address of the file is not one of https: \"ftp://h/x\""}, "look at the job in the provider's console: its file can be fetched by https alone"},
		{"dbs://r/i/t", fmt.Errorf("export: %w", dbs.ErrNoBucket), "name the bucket by --dbs-bucket BUCKET[@REGION]"},

		// What is between here and the source.
		{job, &fetch.CallError{Kind: fetch.ErrNoSuchHost}, "check how the region and the project are spelt, and that this machine has a network and a name server"},
		{"sls://cn-hangzhuo/p/j", &fetch.CallError{Kind: fetch.ErrNoSuchHost}, hintNearest("cn-hangzhou")},
		{"sls://cn-hangzhuo/p/", &fetch.CallError{Kind: fetch.ErrNoSuchHost}, hintNearest("cn-hangzhou")},
		{"dms://cn-bejing/1/k", &fetch.CallError{Kind: fetch.ErrNoSuchHost}, hintNearest("cn-beijing")},
		{"dbs://cn_shanghai/i/t", &fetch.CallError{Kind: fetch.ErrNoSuchHost}, hintNearest("cn-shanghai")},
		{"dis://cn-norht-4/t/f", &fetch.CallError{Kind: fetch.ErrNoSuchHost}, hintNearest("cn-north-4")},
		{"oss://cn-hangzhuo/p/?region=us-wset-1", &fetch.CallError{Kind: fetch.ErrNoSuchHost}, hintNearest("us-west-1")},
		{"oss://cn-hangzhuo/p/?region=us-west-1", &fetch.CallError{Kind: fetch.ErrNoSuchHost}, "check how the region and the bucket are spelt, and that this machine has a network and a name server"},
		{"sls://xx-atlantis-1/p/j", &fetch.CallError{Kind: fetch.ErrNoSuchHost}, "check how the region and the project are spelt, and that this machine has a network and a name server"},
		{url, &fetch.CallError{Kind: fetch.ErrNoSuchHost}, "check how the host is spelt, and that this machine has a network and a name server"},
		{url, &fetch.CallError{Kind: fetch.ErrProxyAway}, "see that the proxy in HTTPS_PROXY runs, or name the host in NO_PROXY to do without it"},
		{url, &fetch.CallError{Kind: fetch.ErrProxy}, "check the user and the password in HTTPS_PROXY and what the proxy allows, or name the host in NO_PROXY to do without it"},
		{url, fetch.TransportError(t.Context(), "GET", x509.UnknownAuthorityError{}), "if you trust the authority that signed the certificate, name a file with its certificate by SSL_CERT_FILE"},
		{url, fetch.TransportError(t.Context(), "GET", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}), "see that the host is spelt right, and that nothing answers in its place, such as the login page of a network"},
		{url, fetch.TransportError(t.Context(), "GET", x509.CertificateInvalidError{Reason: x509.Expired}), "see that this machine's clock is right, or have the server's certificate renewed"},
		{url, fetch.TransportError(t.Context(), "GET", http.ErrSchemeMismatch), hintNoTLS},
		{url, fetch.TransportError(t.Context(), "GET", &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}), "see which versions of TLS the server takes, and whether it wants a certificate of yours"},

		// A wrong call has no hint for what made it wrong.
		{"", &cli.UsageError{Err: onFile("open", file, fs.ErrNotExist)}, ""},
		{"", errors.New("something else"), ""},
	} {
		if got := hint(c.reference, c.err); got != c.want {
			t.Errorf("the hint for %s: %v is %q, want %q", c.reference, c.err, got, c.want)
		}
	}
}

func errOf(_ fetch.Ref, err error) error { return err }

// An export that has failed is shown with its cause alone, when the error is
// gone.
func TestEveryCauseHasAHint(t *testing.T) {
	t.Parallel()
	for _, cause := range worker.Causes() {
		if hintFor(cause, "sls://r/p/j", nil) == "" && cause != "bad-task" { // whose errors say all
			t.Errorf("%s has no hint", cause)
		}
	}
	for _, row := range hints {
		if row.cause != "" && !strings.Contains(fmt.Sprint(worker.Causes()), string(row.cause)) {
			t.Errorf("there is no cause %s", row.cause)
		}
	}
}

// Retry is the command only where another attempt can help.
func TestWhatARetryCanNotHelpGetsAnotherCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reference string
		cause     worker.Cause
		want      string
	}{
		{"sls://r/p/j", "checksum-mismatch", "tallyman retry sls://r/p/j"},
		{"sls://r/p/j", "job-failed", "tallyman retry sls://r/p/j"}, // it may be run again under its name
		{"dbs://r/i/t", "job-expired", ""},
		{"sls://r/p/j", "unproven", ""},
		{"https://h/a.csv", "unproven", "tallyman fetch 'https://h/a.csv#md5=…'"},
		{"https://h/a.csv#records=5", "unproven", "tallyman fetch 'https://h/a.csv#records=5&md5=…'"},
		{"a record that can't be read", "unproven", ""},
	} {
		if isVain := slices.Contains(retryIsVain, test.cause); isVain != (vainInShort[string(test.cause)] != "") || len(vainInShort[string(test.cause)]) > 36 {
			t.Errorf("%s: a retry is in vain: %t, and a message says %q", test.cause, isVain, vainInShort[string(test.cause)])
		}
		if got := retryCommand(test.reference, test.cause); got != test.want {
			t.Errorf("%s, %s: %q, want %q", test.reference, test.cause, got, test.want)
		}
	}
}

// hintNearest is what is said of a host that is not there, if a region is near.
func hintNearest(region string) string {
	return "did you mean the region " + region + "? If not, see how the rest is spelt, and that this machine has a network and a name server"
}
