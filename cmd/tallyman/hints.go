package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/dbs"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/oss"
	"tallyman/fetch/redact"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// A failure is what a hint is for: an error, and the reference that it is about. Of
// an export that failed some time ago, the error is nil. The reference is the zero
// Ref where none is known.
type failure struct {
	ref fetch.Ref
	err error
}

// when is a condition of a failure. Of its fields those count that are set; the zero
// when matches all failures.
type when struct {
	is   error              // what the error is
	says string             // a pattern of the code, or of the message, of a call that was refused
	test func(failure) bool // what else reports it
}

// hints says what to do about a failure. The first row counts that is of its cause
// and matches. So for each cause, the rows for some of its errors come before the one
// for all. A cause that is missing here, and a hint that is "", leave all to the error.
//
// In a hint, REF is the reference, PLACE the place that it is in, NEAREST the region that
// it may mean, HOST the host that was refused, WAIT how long the service asks to wait, and
// DIR the directory of the archive.
var hints = []struct {
	cause worker.Cause // "" is any
	when  when
	hint  string
}{
	{"", when{test: func(f failure) bool { return isType[*cli.OutputError](f) && errors.Is(f.err, syscall.EPIPE) }}, "let what reads the output read all of it, and run again"},
	{"", when{test: isType[*cli.OutputError]}, "make room for the output, and run again"},
	{"", when{is: errUnwell}, "see that a worker runs on this host, and with --listen or TALLYMAN_PAGE_LISTEN; health takes the same"},
	{"", when{is: errNoArchive}, "see that --archive or TALLYMAN_ARCHIVE names the right directory, and that its disk is mounted; the first fetch makes an archive, and so does tallyman init"},
	{"", when{is: fetch.ErrDrained}, hintRunAgain},
	{"", when{is: context.Canceled}, hintRunAgain},
	{"unsafe-name", when{is: syscall.ENAMETOOLONG}, "put the archive at a shorter path, on a file system that takes longer names"},
	{"", when{is: oss.ErrNoRegion}, "add ?region=REGION to the reference, or set --endpoint PROVIDER=URL"},
	{"", when{is: dbs.ErrNoBucket}, "name the bucket by --dbs-bucket BUCKET[@REGION]"},
	{"", when{test: isType[*fetch.OtherFileError]}, "fetch it beside what has landed, with the values of its query: tallyman fetch --again URL"},
	{"", when{is: fetch.ErrReceiptMismatch}, "check what has landed with 'tallyman verify', or fetch it once more beside that: fetch --again"},
	{"", when{test: isType[*fetch.MislabelledError]}, "keep the file as it came: --keep wire"},
	{"", when{test: isType[*fetch.SlowError]}, hintRunAgain + "; --min-rate allows less"},
	{"", when{test: func(f failure) bool { return limitOf(f.err) == fetch.LimitSize }}, "if you trust the source, allow more: --max-size"},
	{"", when{test: func(f failure) bool { return limitOf(f.err) == fetch.LimitDecoded }}, "if you trust the source, allow more: --max-decoded"},
	{"", when{test: func(f failure) bool { return limitOf(f.err) == fetch.LimitEntries }}, "if you trust the source, allow more: --max-entries"},
	{"", when{test: func(f failure) bool { return limitOf(f.err) == fetch.LimitMemory }}, "give decoders more memory: --max-memory"},
	{"", when{is: fetch.ErrBomb}, ""},
	{"", when{is: fetch.ErrRefused}, ""},
	{"", when{test: isType[*fetch.PanicError]}, hintReport},
	{"", when{is: worker.ErrPanicked}, hintReport},
	{"", when{is: worker.ErrNoRedisPassword}, "give the password in a file for --redis-password-file, or in REDIS_PASSWORD"},
	{"", when{is: worker.ErrUntrustedRedis}, "name the certificate of its authority by --redis-ca FILE"},
	{"", when{is: worker.ErrNoRedisCertificate}, "name the certificate to show, and its key, by --redis-cert FILE and --redis-key FILE"},
	{"", when{is: worker.ErrUnsuitableRedis}, ""},
	{"", when{is: worker.ErrOtherArchive}, ""},
	{"", when{is: errUnstoredSecret}, "name it by a fresh URL: tallyman fetch --repair URL"},
	{"", when{is: errUnknownReference}, "name it by its reference: tallyman fetch --repair REFERENCE"},

	{"auth-denied", when{says: "has none"}, "check the credentials: places: in the configuration file names the profile"},
	{"auth-denied", when{says: "there are none"}, "check the credentials that this process sees: variables must be exported, and a service has a home of its own"},
	{"auth-denied", when{says: "clock|RequestTime|TimeStamp"}, "set the clock of this machine"},
	{"auth-denied", when{test: isURL}, "check that the URL is whole, in quotes and not expired, or get a fresh one"},
	{"auth-denied", when{says: "(?i)token.*expired|expired.*token|InvalidSecurityToken"}, "check the credentials: they were temporary, so get new ones"},
	{"auth-denied", when{says: "(?i)signature"}, "check the credentials: the secret is not the one of this access key, or a part of it is missing"},
	{"auth-denied", when{says: "(?i)access ?key ?id"}, "check the credentials: the service does not know this access key; it may be deleted, or of another account"},
	{"auth-denied", when{}, "check the credentials and what they are allowed to do"},
	{"bad-task", when{test: isType[*fetch.PlaceError]}, "fetch all that is in it by: tallyman discover PLACE | tallyman fetch -f -"},
	{"bad-task", when{is: worker.ErrUnknownExport}, "check the reference, and which archive is meant (--archive); to fetch it: tallyman fetch REF"},
	{"bad-task", when{is: worker.ErrSignedURL}, "fetch it by a fresh URL: tallyman fetch URL"},
	{"bomb-refused", when{}, "if you trust the source, raise the limit: --max-size, --max-decoded, --max-entries or --max-memory"},
	{"busy", when{}, "another process is fetching it: run again when that has ended"},
	{"cancelled", when{}, "ask for it again: tallyman retry"},
	{"changed-at-source", when{}, "run again"},
	{"checksum-mismatch", when{test: breaksOwnPromise}, "see that the promise behind # in the reference is right; if it is, the source has another file"},
	{"checksum-mismatch", when{}, "run again; if it happens again, the source does not keep its promise"},
	{"corrupt", when{says: webPage, test: isURL}, "the address leads to a web page, not to the file: see in a browser whether it wants a log-in, and get the address of the file"},
	{"corrupt", when{says: webPage}, "the store, or something between, sent a web page in place of the file: see that no proxy or log-in page answers for it, and run again"},
	{"corrupt", when{}, "the file arrived as the source has it: export it anew, or keep it as it came: --keep wire"},
	{"crashed", when{}, "see what ends the worker, such as too little memory, then try again: tallyman retry"},
	{"damaged", when{is: archive.ErrNotRepaired}, "put it back from a copy and run 'tallyman verify'; what the source has now can be fetched beside it: tallyman fetch --again REF"},
	{"damaged", when{test: isType[*archive.Damage]}, "fetch it anew: tallyman fetch --repair REF; or put it back from a copy and run 'tallyman verify', or fetch it beside what was there: tallyman fetch --again REF"},
	{"damaged", when{}, "see what is wrong: tallyman verify"},
	{"disk", when{test: func(f failure) bool { return siteOf(f.err) == archive.SiteNowhere }}, "see that its disk is mounted"},
	{"disk", when{test: func(f failure) bool { return siteOf(f.err) == archive.SiteExports }}, "put archive.json back from a copy, or make it anew with the ID that it had: tallyman init DIR"},
	{"disk", when{test: isType[*archive.NoArchiveError]}, "see that it is the right directory, and that its disk is mounted; to make an archive of it: tallyman init DIR"},
	{"disk", when{is: archive.ErrOtherID}, "see that the right disk is mounted there; --archive-id names the archive that is meant"},
	{"disk", when{is: archive.ErrFileSystem}, "put the archive on a file system that has hard links, and locks that hold for all who use it: a local one of Linux or macOS, or NFSv4"},
	{"disk", when{is: syscall.ENOTDIR}, "see that the archive can be written to, and run again: a file is where a directory ought to be"},
	{"disk", when{is: syscall.EROFS}, "see that the archive can be written to, and run again: its file system is read-only"},
	{"disk", when{is: syscall.EIO}, "see what the system says of this disk (dmesg), before anything is written to it"},
	{"disk", when{is: syscall.ESTALE}, "mount the file system of the archive anew, and run again"},
	{"disk", when{test: reads}, "see that the archive can be read by this user, and run again"},
	{"disk", when{}, "see that the archive can be written to, and run again"},
	{"disk-full", when{}, "make room and run again: what was received is kept"},
	{"encrypted", when{}, "ask for an export without encryption"},
	{"host-refused", when{test: isHostKnown}, "if you trust the host, name it: --allow-host HOST"},
	{"host-refused", when{test: isType[*hostguard.NotAllowedError]}, "if you trust the host, name it by --allow-host"},
	{"host-refused", when{is: hostguard.ErrHost}, ""},
	{"host-refused", when{}, "if you trust the host, name it by --allow-host"},
	{"job-expired", when{test: func(f failure) bool { return f.ref.Scheme() == "sls" }}, "its result is gone, and no retry brings it back: make the job anew, by tallyman ensure PLACE --logstore LOGSTORE --since TIME, or in the console of SLS"},
	{"job-expired", when{}, "its result is gone, and no retry brings it back: make the job anew in the provider's console, and fetch that"},
	{"job-failed", when{is: fetch.ErrConflict}, "see at the service who made that job, and remove it there: ensure makes none beside it"},
	{"job-failed", when{}, "export it anew"},
	{"network", when{is: fetch.ErrProxyAway}, "see that the proxy in HTTPS_PROXY runs, or name the host in NO_PROXY to do without it"},
	{"network", when{is: fetch.ErrNoSuchHost, test: isURL}, "check how the host is spelt, and that this machine has a network and a name server"},
	{"network", when{is: fetch.ErrNoSuchHost, test: func(f failure) bool { return nearestRegion(f.ref) != "" }},
		"did you mean the region NEAREST? If not, see how the rest is spelt, and that this machine has a network and a name server"},
	{"network", when{is: fetch.ErrNoSuchHost, test: func(f failure) bool { return f.ref.IsPrefix() }}, "check how the region and the bucket are spelt, and that this machine has a network and a name server"},
	{"network", when{is: fetch.ErrNoSuchHost}, "check how the region and the project are spelt, and that this machine has a network and a name server"},
	{"network", when{test: asksToWait}, hintPutOff},
	{"network", when{}, hintRunAgain},
	{"not-found", when{says: "ProjectNotExist"}, "check the name of the project, and its region: a project is known in its own region alone"},
	{"not-found", when{says: "not one of https"}, "look at the job in the provider's console: its file can be fetched by https alone"},
	{"not-found", when{says: "NoSuchBucket"}, "check the name of the bucket, and whose it is"},
	{"not-found", when{test: func(f failure) bool { return f.ref.IsPlace() }}, "check the name of the place, and its region"},
	{"not-found", when{test: isURL}, "check the address"},
	{"not-found", when{test: func(f failure) bool { return strings.Contains(f.ref.String(), " #") }}, "what follows the # was taken for a part of the name: a comment must be on a line of its own"},
	{"not-found", when{test: func(f failure) bool { return f.ref.IsPrefix() }}, "check the bucket and the prefix: upper and lower case differ, and a directory's ends in /"},
	{"not-found", when{test: isInPlace}, "see which exports there are: tallyman discover PLACE"},
	{"not-found", when{}, "look at the job in the provider's console"},
	{"not-ready", when{}, "run again later, or wait longer with --wait"},
	{"open-files", when{}, "raise the limit of open files (ulimit -n), or lower --parallel"},
	{"proxy", when{}, "check the user and the password in HTTPS_PROXY and what the proxy allows, or name the host in NO_PROXY to do without it"},
	{"redis", when{test: func(f failure) bool { return f.err != nil && strings.Contains(f.err.Error(), "WRONGTYPE") }}, "give the queue a Redis, or a database of it, that nothing else uses: redis://HOST/DB; tallyman requeue fills it"},
	{"redis", when{}, "see that Redis runs, and run again"},
	{"throttled", when{test: asksToWait}, hintPutOff},
	{"throttled", when{}, "run again later: what was received is kept"},
	{"tls", when{test: isType[x509.HostnameError]}, "see that the host is spelt right, and that nothing answers in its place, such as the login page of a network"},
	{"tls", when{test: func(f failure) bool {
		invalid, ok := errors.AsType[x509.CertificateInvalidError](f.err)
		return ok && invalid.Reason == x509.Expired
	}}, "see that this machine's clock is right, or have the server's certificate renewed"},
	{"tls", when{is: http.ErrSchemeMismatch}, hintNoTLS},
	{"tls", when{test: isType[tls.RecordHeaderError]}, hintNoTLS},
	{"tls", when{test: isType[*net.OpError]}, "see which versions of TLS the server takes, and whether it wants a certificate of yours"},
	{"tls", when{}, "if you trust the authority that signed the certificate, name a file with its certificate by SSL_CERT_FILE"},
	{"truncated", when{test: breaksOwnPromise}, "see that the #size in the reference is right; if it is, the source has another file"},
	{"truncated", when{}, "run again; if it happens again, the source has less than it promised"},
	{"unknown-status", when{}, "look at the job in the provider's console"},
	{"unproven", when{test: isURL}, "say what you know of the file: tallyman fetch REF#md5=…, or #sha256=…, #crc64=… or #size=…"},
	{"unproven", when{}, "look at the job in the provider's console: it promises nothing of its file"},
	{"unsafe-name", when{is: archive.ErrName}, "put the archive at a shorter path, on a file system that takes such names and tells upper from lower case"},
	{"unsafe-name", when{}, "keep a zip or tar as it came by --keep wire, or ask for an export of plain files with plain names"},
	{"url-expired", when{test: isURL}, "get a fresh URL"},
	{"url-expired", when{}, "run again: the job is asked for a fresh URL"},
}

const (
	hintRunAgain = "run again: what was received is kept"
	hintPutOff   = "run again after WAIT, as the service asks: what was received is kept"
	webPage      = "a page of HTML"
	hintNoTLS    = "the server speaks no TLS on that port: see that the port is right"
	hintReport   = "this is a mistake in tallyman: please report it"

	// hintDamagedBags says what to do about bags that verify found damaged.
	hintDamagedBags = "fetch anew what is damaged or gone: tallyman verify --repair; or put it back from a copy; if it is meant to be as it is: tallyman verify --adopt REF --reason TEXT"

	// hintNotRepaired is hintDamagedBags for what is left of a repair.
	hintNotRepaired = "put back what could not be repaired from a copy; if it is meant to be as it is: tallyman verify --adopt REF --reason TEXT"
)

// hintNewerBags says what to do about bags that are newer than the ledger.
const hintNewerBags = "if these bags are meant to be here: tallyman verify --adopt REF --reason TEXT"

// hintDamagedCopy is hintDamagedBags for bags that were named by their path.
const hintDamagedCopy = "copy the damaged bags again from where they are whole, or fetch them again"

// retryIsVain are the causes of failures that another attempt ends by again.
var retryIsVain = []worker.Cause{"job-expired", "unproven"}

// vainInShort are the hints for those causes, in a line of a message.
var vainInShort = map[string]string{
	"job-expired": "no retry helps: make the jobs anew",
	"unproven":    "no retry helps: nothing proves them",
}

// retryCommand returns the command that helps an export that failed by a cause, or "" if
// there is none: the one that tries it again, unless that is vain.
func retryCommand(reference string, cause worker.Cause) string {
	ref, err := fetch.ParseRef(reference)
	switch {
	case !slices.Contains(retryIsVain, cause):
		return "tallyman retry " + cli.ShellQuote(reference)
	case cause != "unproven" || err != nil || !isURL(failure{ref: ref}):
		return ""
	case strings.Contains(reference, "#"):
		return "tallyman fetch " + cli.ShellQuote(reference+"&md5=…")
	}
	return "tallyman fetch " + cli.ShellQuote(reference+"#md5=…")
}

// newOnlyCommand returns the command that fetches what has come to a prefix since
// it landed.
func newOnlyCommand(reference string) string {
	return "tallyman fetch --new " + cli.ShellQuote(reference)
}

// hint returns what to do about an error of the export that reference names, or of a
// whole command if it is "". It returns "" if there is nothing more to say.
func hint(reference string, err error) string {
	if usage, ok := errors.AsType[*cli.UsageError](err); ok && reference == "" {
		reference = usage.Reference
	}
	return hintFor(cli.Classify(err).Cause, reference, err)
}

// hintFor is hint for a failure whose cause is known. The err may be nil.
func hintFor(cause worker.Cause, reference string, err error) string {
	ref, parseErr := fetch.ParseRef(reference)
	if parseErr != nil {
		ref, _ = fetch.ParsePlace(reference)
	}
	f := failure{ref, err}
	for _, row := range hints {
		if (row.cause == "" || row.cause == cause) && row.when.matches(f) {
			return f.fill(row.hint)
		}
	}
	return ""
}

// fill puts what is known of a failure into a hint.
func (f failure) fill(hint string) string {
	separator := "#"
	if strings.Contains(f.ref.String(), separator) {
		separator = "&"
	}
	words := []string{"WAIT", fetch.RetryAfter(f.err).Round(time.Second).String(), "NEAREST", nearestRegion(f.ref), "REF#md5=…", cli.ShellQuote(f.ref.String() + separator + "md5=…"), "REF", cli.ShellQuote(f.ref.String())}
	if place, ok := f.ref.Place(); ok {
		words = append(words, "PLACE", cli.ShellQuote(place.String()))
	}
	if whole, ok := errors.AsType[*fetch.PlaceError](f.err); ok {
		words = append(words, "PLACE", cli.ShellQuote(whole.Place.String()))
	}
	if refused, ok := errors.AsType[*hostguard.NotAllowedError](f.err); ok {
		words = append(words, "HOST", refused.Host)
	}
	if other, ok := errors.AsType[*fetch.OtherFileError](f.err); ok {
		words = append(words, "again URL", "again "+cli.ShellQuote(redact.URL(other.Ref.URL())))
	}
	if none, ok := errors.AsType[*archive.NoArchiveError](f.err); ok {
		dir := cli.ShellQuote(none.Dir)
		switch {
		case none.ID != "":
			dir += " --archive-id " + none.ID
		case none.Site == archive.SiteExports:
			dir += " --archive-id ID"
		}
		words = append(words, "DIR", dir)
	}
	return strings.NewReplacer(words...).Replace(hint)
}

// matches reports whether a failure meets the condition.
func (w when) matches(f failure) bool {
	if w.says != "" {
		refused, ok := errors.AsType[*fetch.CallError](f.err)
		if !ok || !regexp.MustCompile(w.says).MatchString(refused.Code+": "+refused.Message) {
			return false
		}
	}
	return (w.is == nil || errors.Is(f.err, w.is)) && (w.test == nil || w.test(f))
}

func isType[E error](f failure) bool {
	_, ok := errors.AsType[E](f.err)
	return ok
}

// limitOf returns the limit that an error says was exceeded, or "".
func limitOf(err error) fetch.Limit {
	if exceeded, ok := errors.AsType[*fetch.LimitError](err); ok {
		return exceeded.Limit
	}
	return ""
}

// siteOf returns what there is in place of an archive.
func siteOf(err error) archive.Site {
	if none, ok := errors.AsType[*archive.NoArchiveError](err); ok {
		return none.Site
	}
	return archive.SiteArchive
}

func isHostKnown(f failure) bool {
	refused, ok := errors.AsType[*hostguard.NotAllowedError](f.err)
	return ok && refused.Host != ""
}

func isURL(f failure) bool { return f.ref.Scheme() == "https" || f.ref.Scheme() == "http" }

func asksToWait(f failure) bool { return fetch.RetryAfter(f.err) > time.Second }

func isInPlace(f failure) bool {
	_, ok := f.ref.Place()
	return ok
}

// breaksOwnPromise matches bytes that are not what the reference itself promises.
func breaksOwnPromise(f failure) bool {
	mismatch, ok := errors.AsType[*verify.Mismatch](f.err)
	return ok && isURL(f) && strings.Contains(f.ref.String(), "="+mismatch.Want)
}

// reads matches an operation on a file that writes nothing.
func reads(f failure) bool {
	path, ok := errors.AsType[*fs.PathError](f.err)
	if !ok {
		return false
	}
	if path.Op == "open" { // to read what is there, or to make what is not
		_, err := os.Lstat(path.Path)
		return !errors.Is(err, fs.ErrNotExist)
	}
	return strings.HasPrefix(path.Op, "read") || strings.Contains(path.Op, "stat")
}
