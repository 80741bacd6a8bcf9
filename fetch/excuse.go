package fetch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
)

// excuses are the fields, in small letters and without underscores, of the JSON
// in which the vendors' services and the gateways before them refuse.
var excuses = struct{ code, message, request, other []string }{
	code:    []string{"code", "errorcode", "errcode"},
	message: []string{"message", "errormessage", "errmessage", "errormsg", "errmsg"},
	request: []string{"requestid"},
	other:   []string{"hostid", "recommend", "success", "status", "httpstatuscode", "accessdenieddetail"},
}

// parseExcuse reads a body that is one such object and nothing else: with a code,
// a message, and no field that is none of theirs.
func parseExcuse(body []byte) (said StoreError, ok bool) {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&fields) != nil {
		return said, false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return said, false
	}
	for name, value := range fields {
		text, _ := value.(string)
		switch bare := strings.ReplaceAll(strings.ToLower(name), "_", ""); {
		case slices.Contains(excuses.code, bare):
			said.Code = cmp.Or(said.Code, plain(text))
		case slices.Contains(excuses.message, bare):
			said.Message = cmp.Or(said.Message, plain(text))
		case slices.Contains(excuses.request, bare):
			said.RequestID = plain(text)
		case !slices.Contains(excuses.other, bare):
			return said, false
		}
	}
	return said, said.Code != "" && said.Message != ""
}

// isJSON reports whether an object may well be JSON itself, where a row can look
// like anything.
func (d *decoding) isJSON() bool {
	ext := strings.ToLower(path.Ext(d.object.Name))
	return d.object.Content == "json" || d.object.Content == "" && slices.Contains([]string{"", ".json", ".jsonl", ".ndjson", ".log", ".txt"}, ext)
}
