package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxChat is less than the bytes that each chat takes: WeCom takes the least, 2048.
const maxChat = 1900

// cut cuts a text to so many bytes, and a sign that it was.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}

// chatText is what a chat is told: with the keyword that it wants, and no longer than any
// takes.
func (t *Target) chatText(m Message) string {
	text := m.Text()
	if !strings.Contains(text, t.Keyword) {
		text = t.Keyword + "\n" + text
	}
	return cut(text, maxChat)
}

// A chatAnswer is what the Chinese chats answer: with status 200 even if they refuse.
type chatAnswer struct {
	ErrCode *int   `json:"errcode"` // DingTalk, WeCom
	ErrMsg  string `json:"errmsg"`
	Code    *int   `json:"code"` // Feishu
	Msg     string `json:"msg"`
	Status  *int   `json:"StatusCode"` // Feishu, of old
}

// chat posts a message to one of them, and fails with ErrRefused unless it says that it took
// it.
func chat(ctx context.Context, u *url.URL, body any) error {
	answer, err := post(ctx, u, body, nil)
	if err != nil {
		return err
	}
	var said chatAnswer
	if json.Unmarshal(answer, &said) != nil || said.ErrCode == nil && said.Code == nil && said.Status == nil {
		return fmt.Errorf("%w: %s does not say that it took it", ErrRefused, u.Host)
	}
	for _, code := range []*int{said.ErrCode, said.Code, said.Status} {
		if code != nil && *code != 0 {
			return fmt.Errorf("%w: %s answers %d: %s", ErrRefused, u.Host, *code, clean(said.ErrMsg+said.Msg))
		}
	}
	return nil
}

// sendDingTalk has the signature in the query.
func sendDingTalk(ctx context.Context, t *Target, m Message) error {
	u, secret, err := t.signed()
	if err != nil {
		return err
	}
	if secret != "" {
		now, query := time.Now().UnixMilli(), u.Query()
		query.Set("timestamp", strconv.FormatInt(now, 10))
		query.Set("sign", signDingTalk(secret, now))
		u.RawQuery = query.Encode()
	}
	return chat(ctx, u, map[string]any{"msgtype": "text", "text": map[string]string{"content": t.chatText(m)}})
}

// signDingTalk signs a time in milliseconds and the secret with the secret.
func signDingTalk(secret string, milliseconds int64) string {
	return hmacSHA256([]byte(secret), fmt.Sprintf("%d\n%s", milliseconds, secret))
}

// sendFeishu has the signature in the body.
func sendFeishu(ctx context.Context, t *Target, m Message) error {
	u, secret, err := t.signed()
	if err != nil {
		return err
	}
	body := map[string]any{"msg_type": "text", "content": map[string]string{"text": t.chatText(m)}}
	if secret != "" {
		now := time.Now().Unix()
		body["timestamp"], body["sign"] = strconv.FormatInt(now, 10), signFeishu(secret, now)
	}
	return chat(ctx, u, body)
}

// signFeishu signs nothing, with a time in seconds and the secret as the key.
func signFeishu(secret string, seconds int64) string {
	return hmacSHA256(fmt.Appendf(nil, "%d\n%s", seconds, secret), "")
}

// sendWeCom has its key in the URL, and signs nothing.
func sendWeCom(ctx context.Context, t *Target, m Message) error {
	u, err := t.address()
	if err != nil {
		return err
	}
	return chat(ctx, u, map[string]any{"msgtype": "text", "text": map[string]string{"content": t.chatText(m)}})
}

// sendSlack has its key in the URL, too. Slack refuses by the status.
func sendSlack(ctx context.Context, t *Target, m Message) error {
	u, err := t.address()
	if err != nil {
		return err
	}
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(t.chatText(m))
	_, err = post(ctx, u, map[string]any{"text": "```\n" + escaped + "\n```"}, nil)
	return err
}
