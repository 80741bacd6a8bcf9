package decode

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// A PageError says that a store, a service or a proxy sent an error page in
// place of the object. Its texts are as they came: they may hold secrets and
// characters that act on a terminal.
type PageError struct {
	Body   []byte // all of the page
	Format string // "XML", "HTML" or "JSON"

	Code, Message, RequestID string // of JSON
	Title                    string // of HTML, or ""
}

// Error tells the format of the page.
func (e *PageError) Error() string { return "not the data but an error page in " + e.Format }

// Unwrap returns ErrCorrupt.
func (e *PageError) Unwrap() error { return ErrCorrupt }

// maxPageSize is larger than error pages are, and smaller than content that
// begins like one is likely to be.
const maxPageSize = 64 << 10

var (
	pageStart = regexp.MustCompile(`(?i)^\x{FEFF}?\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|error)[\s>]`)
	pageTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	xmlStart  = regexp.MustCompile(`(?i)^[^<]*(?:<\?xml[^>]*>\s*)?<error[\s>]`)
)

// checkErrorPage returns a *PageError if content, which begins with head, is an
// error page.
//
// Exports are tables, dumps and containers. They are never HTML, and never XML
// with the root <Error>. Unless they are JSON, they are never a JSON object with
// the fields of an error and no others. So a small object like that is an error
// page, unless the job promised a hash of it. A promised size is not enough: who
// promises only that did not see the bytes. A hash that the store sends is not
// enough either: it is the hash of the page.
func (d *decoding) checkErrorPage(content *bufio.Reader, head []byte) error {
	extension := strings.ToLower(path.Ext(d.Names.Object))
	mayBeJSON := d.Names.Content == "json" || d.Names.Content == "" && slices.Contains(jsonExtensions, extension)
	isJSON := !mayBeJSON && bytes.HasPrefix(bytes.TrimSpace(head), []byte("{"))
	if d.Hashed || !isJSON && !pageStart.Match(head) {
		return nil
	}
	body, err := content.Peek(maxPageSize)
	switch {
	case err == nil:
		return nil // larger than an error page
	case !errors.Is(err, io.EOF):
		return err
	}
	page := &PageError{Body: bytes.Clone(body), Format: "HTML"}
	switch {
	case isJSON:
		if page.Format = "JSON"; !page.parseJSON() {
			return nil
		}
	case xmlStart.Match(body):
		page.Format = "XML"
	default:
		if title := pageTitle.FindSubmatch(body); title != nil {
			page.Title = string(bytes.TrimSpace(title[1]))
		}
	}
	return page
}

// jsonExtensions are those of objects that may well be JSON themselves.
var jsonExtensions = []string{"", ".json", ".jsonl", ".ndjson", ".log", ".txt"}

// errorFields are the names of the fields in the JSON errors of the vendors'
// services and of the gateways before them, in lower case and without
// underscores.
var errorFields = struct{ code, message, request, other []string }{
	code:    []string{"code", "errorcode", "errcode"},
	message: []string{"message", "errormessage", "errmessage", "errormsg", "errmsg"},
	request: []string{"requestid"},
	other:   []string{"hostid", "recommend", "success", "status", "httpstatuscode", "accessdenieddetail"},
}

// parseJSON reads the fields of a JSON error. It reports whether the body is one:
// an object with a code and a message, with no field that errors don't have, and
// with nothing behind it.
func (e *PageError) parseJSON() bool {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(e.Body))
	d.UseNumber()
	if d.Decode(&fields) != nil {
		return false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return false
	}
	for name, value := range fields {
		text, _ := value.(string)
		// Only a text in which a person can see something is a code or a message.
		isVisible := strings.ContainsFunc(text, func(r rune) bool { return unicode.IsPrint(r) && r != ' ' })
		switch name = strings.ReplaceAll(strings.ToLower(name), "_", ""); {
		case slices.Contains(errorFields.code, name):
			if e.Code == "" && isVisible {
				e.Code = text
			}
		case slices.Contains(errorFields.message, name):
			if e.Message == "" && isVisible {
				e.Message = text
			}
		case slices.Contains(errorFields.request, name):
			e.RequestID = text
		case !slices.Contains(errorFields.other, name):
			return false
		}
	}
	return e.Code != "" && e.Message != ""
}
