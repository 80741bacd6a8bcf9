package fetch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// largestPage is below what any content that begins like a page is likely to
// have, and above what pages of errors have.
const largestPage = 64 << 10

// A page of HTML, or the XML in which stores refuse. The JSON of services is an
// excuse.
var (
	pageStart = regexp.MustCompile(`(?i)^\x{FEFF}?\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|error)[\s>]`)
	pageTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	isXML     = regexp.MustCompile(`(?i)^[^<]*(?:<\?xml[^>]*>\s*)?<error[\s>]`)
)

// page refuses a page that a store or a proxy sent for the content, with a
// status that says that all is well.
//
// Exports are tables, dumps and containers, never HTML, never a document whose
// root is <Error>, and where they are not JSON no object that has the fields of
// a refusal and no other, so such a page is refused where it is small and comes
// unencoded, and where the job promised no hash of it: what the job vouches for
// lands, whatever it looks like. The store's own hashes vouch for nothing here,
// since they are of the page. Nor does a length: a listing has more to say than
// that, and what else promises no more did not see the bytes.
func (d *decoding) page(content *bufio.Reader, head []byte) error {
	job := d.object.Want
	excuse := bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) && !d.isJSON()
	if job.MD5 != "" || job.CRC64 != "" || job.ETag != "" || !excuse && !pageStart.Match(head) {
		return nil
	}
	body, err := content.Peek(largestPage)
	switch {
	case err == nil:
		return nil // it is large
	case !errors.Is(err, io.EOF):
		return err
	}
	said, refused := ParseStoreError(body), true
	if excuse {
		said, refused = parseExcuse(body)
	}
	if !refused {
		return nil
	}
	d.spoil()
	return fmt.Errorf("not the data but an error page: %w", pageError(d.object.Name, body, said))
}

// pageError tells what a page says, in its fields if it has some.
func pageError(object string, body []byte, said StoreError) error {
	refused := &CallError{Call: "read " + object, Status: http.StatusOK, Kind: ErrCorrupt}
	if said.Code != "" || isXML.Match(body) {
		refused.Code, refused.Message, refused.RequestID = said.Code, said.Message, said.RequestID
		if kind := said.Kind(); kind != nil {
			refused.Kind = kind
		}
		return refused
	}
	refused.Message = "a page of HTML"
	if title := pageTitle.FindSubmatch(body); title != nil {
		refused.Message += fmt.Sprintf(", %q", plain(strings.ToValidUTF8(string(bytes.TrimSpace(title[1])), "?")))
	}
	return refused
}
