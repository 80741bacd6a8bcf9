package decode

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// A PageError says that a store, a service or a proxy sent an error page in
// place of the object. Its texts are as they came: they may hold secrets and
// characters that act on a terminal.
type PageError struct {
	Body   []byte // all of the page
	Format string // "XML", "HTML", "JSON" or "text"

	Code, Message, RequestID string // of JSON: a code, a message, or both
	Title                    string // of HTML, or ""; the text itself
}

// Error tells the format of the page.
func (e *PageError) Error() string { return "not the data but an error page in " + e.Format }

// Unwrap returns ErrCorrupt.
func (e *PageError) Unwrap() error { return ErrCorrupt }

const (
	// maxPageSize is larger than error pages are, and smaller than content that
	// begins like one is likely to be.
	maxPageSize = 64 << 10
	maxPageText = 300 // bytes of an error in plain text
)

// phrases are what stores and gateways say in place of the data, logins what pages
// say that ask for a login, and proxies how a line begins that a proxy says.
const (
	phrases = `(?:access (?:is )?denied|access to [^.]{1,80} (?:denied|forbidden)|bad gateway|bad request|(?:403 )?forbidden|gateway time-?out|` +
		`internal (?:server )?error|(?:link|request|session|signature|token|url) (?:has )?expired|method not allowed|no healthy upstream|` +
		`(?:file |object |page |resource )?not found|permission denied|request time-?out|service (?:temporarily )?unavailable|too many requests|` +
		`unauthori[sz]ed|the (?:requested url|resource|page)[^.]{0,80} (?:not be retrieved|not found|cannot be found))`
	logins      = `(?:(?:please |user )?(?:log|sign)[ -]?in(?: required| page| to [^.]{1,80})?|登[录陆](?:页面)?|用户登录)`
	endOfSaying = `(?:\s*$|\s*[-:|!.–—·])`
	proxies     = `(?i)^(?:upstream connect error|default backend - 404|error code:? \d)`
)

// patterns tell pages apart. They take milliseconds to compile, which most processes
// need not.
var patterns = sync.OnceValue(func() (p struct {
	xmlError, soapBody, htmlPage, pageTitle, pageHeading, markup, loginForm, proxyText, errorText *regexp.Regexp
}) {
	p.xmlError = regexp.MustCompile(`(?is)^(?:<\?.*?\?>\s*|<!--.*?-->\s*)*<(?:\w+:)?(?:error|errorresponse|fault)[\s/>]`)
	p.soapBody = regexp.MustCompile(`(?is)^(?:<\?.*?\?>\s*)?<(?:\w+:)?envelope[\s>].*<(?:\w+:)?fault[\s>]`)
	p.htmlPage = regexp.MustCompile(`(?is)^(?:<\?.*?\?>\s*|<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>/].*<(?:/html|body|head|title))|^(?:<!--.*?-->\s*)*<(?:head|body|title|h1|center)>`)
	p.pageTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	p.pageHeading = regexp.MustCompile(`(?is)<h[1-3][^>]*>(.*?)</h`)
	p.markup = regexp.MustCompile(`(?is)<(?:script|style|title)[^>]*>.*?</|<[^>]*>`)
	p.loginForm = regexp.MustCompile(`(?is)<input[^>]+type\s*=\s*["']?password|(?:\blocation\b[^;<]{0,60}|http-equiv\s*=\s*["']?refresh[^>]{0,200})(?:log-?in|sign-?in|passport|oauth|/sso)`)
	p.proxyText = regexp.MustCompile(proxies)
	p.errorText = regexp.MustCompile(`(?is)^[\s\pP]*(?:` + logins + `|` + phrases + `|error)` + endOfSaying + `|` +
		`^[\s\pP]*(?:(?:http|error|status|code|rbac)\S*\s+)*(?:[45]\d\d|` + phrases + `|[45]\d\d\s+(?:error|` + phrases + `))` + endOfSaying + `|` +
		`\b(?:error|status)\s*(?:code\W*)?[45]\d\d[\s\pP]*$|` +
		proxies + `|访问被拒|请求被拒|已过期|已失效|没有权限|无权访问|禁止访问|页面不存在|文件不存在`)
	return p
})

// htmlKinds are the extensions of files that are written in HTML: pages, and the
// tables and texts that many programs write for Office.
var htmlKinds = []string{".doc", ".htm", ".html", ".shtml", ".xht", ".xhtml", ".xls"}

// checkErrorPage returns a *PageError if content, which begins with head, is an
// error page.
//
// What the job or a person promised by a hash or a size is the data, and so is
// one record of JSON if one was promised: the promise is kept, or another error
// follows. All else is proven by the answer itself at most, which an error page
// is, too. So it must not look like one: it is no small page of HTML unless the
// name says so, no XML whose root is an error, no JSON object with the fields of
// an error and no others, and no line, without the marks of a table, that says
// nothing but an error. HTML under a name that tells nothing is doubted.
func (d *decoding) checkErrorPage(content *bufio.Reader, head []byte) error {
	start := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	isMarked := bytes.HasPrefix(start, []byte("<")) || bytes.HasPrefix(start, []byte("{"))
	isPromised := d.Promised.HasHash() || d.Promised.ETag != "" || d.Promised.Size > 0 || d.Records == 1 && d.Names.Only && d.isJSON()
	if isPromised || !isMarked && (len(head) > maxPageText || !patterns().errorText.Match(start)) {
		return nil
	}
	body, err := content.Peek(maxPageSize)
	switch {
	case err == nil:
		return nil // larger than an error page
	case !errors.Is(err, io.EOF):
		return err
	}
	if page := d.readPage(bytes.Clone(body)); page != nil {
		return page
	}
	return nil
}

// readPage returns the error page that a body is, or nil.
func (d *decoding) readPage(body []byte) *PageError {
	page := &PageError{Body: body}
	start := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n")
	isError := false
	switch start[0] {
	case '{':
		page.Format = "JSON"
		isError = page.parseJSON(start, d.isJSON())
	case '<':
		page.Format = "HTML"
		if patterns().xmlError.Match(start) || patterns().soapBody.Match(start) {
			page.Format = "XML"
		}
		isError = page.Format == "XML" || patterns().htmlPage.Match(start) && d.isErrorHTML(page)
	default:
		page.Format, page.Title = "text", string(start)
		isLine := bytes.ContainsFunc(start, unicode.IsLetter) && !bytes.ContainsAny(bytes.TrimRight(start, "\r\n"), "\r\n\t,;|")
		isError = isLine || patterns().proxyText.Match(start)
	}
	if !isError {
		return nil
	}
	return page
}

// isErrorHTML reports whether the name of a page says that it is something else
// than HTML, or the page says that it is an error, or asks for a login.
func (d *decoding) isErrorHTML(page *PageError) bool {
	kind := d.label().kind
	mayBeHTML := d.Names.Content == "" && (kind == "" || slices.Contains(htmlKinds, kind))
	isError := patterns().loginForm.Match(page.Body)
	for _, text := range []*regexp.Regexp{patterns().pageTitle, patterns().pageHeading} {
		found := text.FindSubmatch(page.Body)
		if found == nil {
			continue
		}
		said := strings.TrimSpace(string(patterns().markup.ReplaceAll(found[1], nil)))
		isError = isError || patterns().errorText.MatchString(said)
		page.Title = cmp.Or(page.Title, said)
	}
	said := bytes.TrimSpace(patterns().markup.ReplaceAll(page.Body, nil))
	if !mayBeHTML || isError || len(said) <= maxPageText && patterns().errorText.Match(said) {
		return true
	}
	if kind == "" {
		d.result.doubt = fmt.Sprintf("unexpected: %s is a page of HTML, though its name does not say so", d.Names.Object)
	}
	return false
}
