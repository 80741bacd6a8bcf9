package sandbox

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A disCall is one call of the API of DIS.
type disCall struct {
	*http.Request
	path []string // its elements, unescaped
	body []byte
	id   string // of the request
}

// disOperations are known by their method and the shape of their path, in
// which a star stands for any element. Each has the cloud's lock.
var disOperations = []struct {
	shape  string
	name   string
	answer func(*Cloud, disCall) (any, *refusal)
}{
	{"POST v1 transfertasklog *", "ShowTransferTaskLog", (*Cloud).transferLog},
	{"GET v2 * streams * transfer-tasks", "ListTransferTasks", (*Cloud).transferTasks},
	{"GET v2 * streams * transfer-tasks *", "ShowTransferTask", (*Cloud).transferTask},
}

// isDIS reports whether a request is one of DIS: by its path, or by how it is
// signed.
func isDIS(r *http.Request) bool {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	return strings.HasPrefix(r.Header.Get("Authorization"), sdkHMAC+" ") ||
		len(path) == 3 && path[0] == "v1" && path[1] == "transfertasklog" ||
		len(path) >= 5 && path[0] == "v2" && path[2] == "streams" && path[4] == "transfer-tasks"
}

func (c *Cloud) serveDIS(w http.ResponseWriter, r *http.Request) {
	q := disCall{Request: r, id: strings.ToLower(rand.Text())}
	w.Header().Set("X-Request-Id", q.id)
	answer, bad := c.answerDIS(w, q)
	if bad != nil {
		c.countRefusal(bad.code)
		bad.writeDIS(w, q.id)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, answer)
}

// answerDIS judges the caller before it looks at what is asked for.
func (c *Cloud) answerDIS(w http.ResponseWriter, q disCall) (any, *refusal) {
	name, answer := q.operation()
	c.countCall(name)
	var err error
	if q.body, err = io.ReadAll(http.MaxBytesReader(w, q.Body, mostBody)); err != nil {
		return nil, refuse(http.StatusRequestEntityTooLarge, "APIGW.0201", "The request is too large.")
	}
	if bad := c.judgeDIS(q); bad != nil {
		return nil, bad
	}
	if answer == nil {
		return nil, refuse(http.StatusNotFound, "APIGW.0101", "The API does not exist or has not been published in the environment")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return answer(c, q)
}

func (q *disCall) operation() (name string, answer func(*Cloud, disCall) (any, *refusal)) {
	for element := range strings.SplitSeq(strings.Trim(q.URL.EscapedPath(), "/"), "/") {
		plain, err := url.PathUnescape(element)
		if err != nil {
			plain = element
		}
		q.path = append(q.path, plain)
	}
	for _, o := range disOperations {
		if q.fits(strings.Fields(o.shape)) {
			return o.name, o.answer
		}
	}
	return unknownCall, nil
}

func (q *disCall) fits(shape []string) bool {
	if q.Method != shape[0] || len(q.path) != len(shape)-1 {
		return false
	}
	for i, element := range shape[1:] {
		if element != "*" && element != q.path[i] {
			return false
		}
	}
	return true
}

// writeDIS writes it as the service does, or as the gateway before it, which
// has names of its own for everything.
func (e *refusal) writeDIS(w http.ResponseWriter, id string) {
	e.header(w, "application/json")
	if strings.HasPrefix(e.code, "APIGW.") {
		writeJSON(w, struct {
			Message string `json:"error_msg"`
			Code    string `json:"error_code"`
			ID      string `json:"request_id"`
		}{e.message, e.code, id})
		return
	}
	writeJSON(w, struct {
		Code    string `json:"errorCode"`
		Message string `json:"message"`
	}{e.code, e.message})
}

// A logRequest is what ShowTransferTaskLog is asked for.
type logRequest struct {
	Order    string          `json:"order"`
	SortBy   string          `json:"sortBy"`
	PageInfo json.RawMessage `json:"pageInfo"`
}

// logSize is how many rows a page has where that is not told.
const logSize = 10

// page reads which rows are wanted: pageInfo is an object, as the vendor's page
// has it, or a list, as its sample does, in which the second index is the size.
func (r logRequest) page() (index, size int, bad *refusal) {
	type info struct {
		Index *int `json:"pageIndex"`
		Size  *int `json:"pageTotal"`
	}
	index, size = 1, logSize
	if len(r.PageInfo) == 0 || string(r.PageInfo) == "null" {
		return index, size, nil
	}
	var one info
	var list []info
	if json.Unmarshal(r.PageInfo, &list) == nil && len(list) > 0 {
		one = list[0]
		if len(list) > 1 {
			one.Size = list[1].Index
		}
	} else if err := json.Unmarshal(r.PageInfo, &one); err != nil || one.Index == nil {
		return 0, 0, refuse(http.StatusBadRequest, "DIS.4200", "Invalid request: pageInfo")
	}
	for from, to := range map[*int]*int{one.Index: &index, one.Size: &size} {
		if from != nil {
			*to = *from
		}
	}
	if index < 1 || size < 1 {
		return 0, 0, refuse(http.StatusBadRequest, "DIS.4200", "Invalid request: %s", fmt.Sprint(index, size))
	}
	return index, size, nil
}
