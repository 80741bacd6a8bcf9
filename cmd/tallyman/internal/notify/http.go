package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tallyman/fetch/redact"
)

// address reads the URL of a target. All of it but the host is made known as a secret.
func (t *Target) address() (*url.URL, error) {
	text, err := t.URL.Read()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%s holds no URL", cmp.Or(t.URL.File, t.URL.Env)) // err would quote it
	}
	redact.Add(u.RequestURI(), u.RawQuery, u.Path)
	redact.Add(strings.Split(u.Path, "/")...)
	for _, values := range u.Query() {
		redact.Add(values...)
	}
	return u, nil
}

// signed is the URL of a target, and the secret that messages to it are signed with, or "".
func (t *Target) signed() (u *url.URL, secret string, err error) {
	if u, err = t.address(); err == nil {
		secret, err = t.Secret.Read()
	}
	return u, secret, err
}

// client follows no redirect: a message is for whom it is addressed to.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// post posts JSON, and returns the body of the answer. One other than 2xx is an
// error, and ErrRefused unless it is the server that failed.
func post(ctx context.Context, u *url.URL, body any, header map[string]string) ([]byte, error) {
	text, isText := body.([]byte)
	if !isText {
		text = encode(body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("the URL can't be asked") // err would quote it
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return do(req)
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 64 << 10

func do(req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok { // which quotes the URL
			err = wrapped.Err
		}
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		return answer, err
	}
	if err = fmt.Errorf("%s answers %s", req.URL.Host, resp.Status); resp.StatusCode < 500 {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if said := clean(string(answer)); said != "" && !strings.Contains(resp.Header.Get("Content-Type"), "html") {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return nil, err
}

// maxSaid is how much is told of what a service or a command says.
const maxSaid = 120

// clean is the beginning of a text of others, on one line and without secrets.
func clean(text string) string {
	text = strings.Join(strings.FieldsFunc(redact.Text(text), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	return cut(text, maxSaid)
}

// encode is JSON as chats want it: with < and > as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // of maps and texts, which can be encoded
	return bytes.TrimSpace(b.Bytes())
}

func hmacSHA256(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sendWebhook posts a Message as JSON, and signs it if there is a secret, as
// https://www.standardwebhooks.com has it.
func sendWebhook(ctx context.Context, t *Target, m Message) error {
	u, secret, err := t.signed()
	if err != nil {
		return err
	}
	body, header := encode(m), map[string]string{"webhook-id": m.ID}
	if secret != "" {
		now := time.Now().Unix()
		header["webhook-timestamp"] = strconv.FormatInt(now, 10)
		if header["webhook-signature"], err = signWebhook(secret, m.ID, now, body); err != nil {
			return err
		}
	}
	_, err = post(ctx, u, body, header)
	return err
}

// signWebhook is the HMAC-SHA256 of ID.SECONDS.BODY. A secret that begins with whsec_ is in
// Base64 behind that; any other is the key as it is.
func signWebhook(secret, id string, seconds int64, body []byte) (string, error) {
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return "", errors.New("the secret begins with whsec_ and is no Base64 behind that") // err would quote it
		}
	}
	return "v1," + hmacSHA256(key, fmt.Sprintf("%s.%d.%s", id, seconds, body)), nil
}

// sendPing asks for the URL.
func sendPing(ctx context.Context, t *Target, _ Message) error {
	u, err := t.address()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return errors.New("the URL can't be asked") // err would quote it
	}
	_, err = do(req)
	return err
}
