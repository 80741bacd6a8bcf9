package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// jsonExtensions are those of objects that may well be JSON themselves.
var jsonExtensions = []string{"", ".json", ".jsonl", ".log", ".ndjson", ".txt"}

// isJSON reports whether the content may well be JSON by its job or its name.
func (d *decoding) isJSON() bool {
	return d.Names.Content == "json" || d.Names.Content == "" && slices.Contains(jsonExtensions, d.label().kind)
}

// errorFields are the names of the fields in the JSON errors of the vendors'
// services, of the gateways before them and of the usual frameworks, in lower case
// and without underscores. Those of data belong to an error only if they are
// empty.
var errorFields = struct{ code, message, request, nested, data, other []string }{
	code:    []string{"code", "errorcode", "errcode", "errno", "retcode", "ret", "statuscode", "httpstatuscode", "status"},
	message: []string{"message", "errormessage", "errmessage", "errormsg", "errmsg", "msg", "errordescription", "detail", "error", "title"},
	request: []string{"requestid", "traceid"},
	nested:  []string{"error", "errors", "fault", "exception"},
	data:    []string{"data", "result", "body", "content"},
	other:   []string{"hostid", "recommend", "success", "ok", "accessdenieddetail", "timestamp", "path", "type", "errortype"},
}

var (
	// successCode are the codes of answers that are no errors.
	successCode = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^(?:0+|2\d\d|ok|success|succeeded)$`) })
	// errorWord tells an error from a record that has the fields of one.
	errorWord = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)err|denied|expir|forbid|unauthor|not ?(?:found|exist)|no ?such|invalid|fail|exception|throttl|time-?d? ?out|unavailable|missing|mismatch|拒绝|过期|失效|错误|权限|不存在`)
	})
)

// parseJSON reads the fields of a JSON error. It reports whether the body is one:
// an object with a code and a message, or with an error, with no field that errors
// don't have, and with nothing behind it. If the object may be a record, its words
// must be those of an error.
func (e *PageError) parseJSON(body []byte, mayBeRecord bool) bool {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&fields) != nil {
		return false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return false
	}
	fields = plainFields(fields)
	names, hasError := errorFields, false
	for name, value := range fields {
		known := slices.Concat(names.code, names.message, names.request, names.nested, names.other)
		if slices.Contains(names.data, name) && !isEmptyJSON(value) || !slices.Contains(append(known, names.data...), name) {
			return false
		}
		if slices.Contains(names.nested, name) && !isEmptyJSON(value) {
			hasError = true
			if list, ok := value.([]any); ok {
				value = list[0]
			}
			inner, _ := value.(map[string]any)
			e.readFields(plainFields(inner))
		}
	}
	e.readFields(fields)
	failed := fields["success"] == false || fields["ok"] == false || e.Code != "" && !successCode().MatchString(e.Code)
	switch text := e.Code + " " + e.Message; {
	case hasError:
		return e.Code+e.Message != ""
	case !failed && (e.Code != "" || !patterns().errorText.MatchString(e.Message)), e.Message == "":
		return false
	default:
		return !mayBeRecord || errorWord().MatchString(text) || patterns().errorText.MatchString(text)
	}
}

// readFields takes code, message and request ID from the fields of an error, if
// they are not known yet.
func (e *PageError) readFields(fields map[string]any) {
	for _, text := range []struct {
		to    *string
		names []string
	}{{&e.Code, errorFields.code}, {&e.Message, errorFields.message}, {&e.RequestID, errorFields.request}} {
		for _, name := range text.names {
			said, isText := fields[name].(string)
			if number, ok := fields[name].(json.Number); ok {
				said, isText = number.String(), true
			}
			// Only a text in which a person can see something is a code or a message.
			isVisible := strings.ContainsFunc(said, func(r rune) bool { return unicode.IsPrint(r) && r != ' ' })
			if isText && isVisible && *text.to == "" {
				*text.to = said
			}
		}
	}
}

// plainFields returns fields by their names in lower case, without underscores. Of
// two with one name, it takes the one that is not empty.
func plainFields(fields map[string]any) map[string]any {
	plain := map[string]any{}
	for name, value := range fields {
		name = strings.ReplaceAll(strings.ToLower(name), "_", "")
		if isEmptyJSON(plain[name]) {
			plain[name] = value
		}
	}
	return plain
}

// isEmptyJSON reports whether a value is null, "", {} or [].
func isEmptyJSON(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}
