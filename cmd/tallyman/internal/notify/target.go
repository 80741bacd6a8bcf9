package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"tallyman/fetch/redact"
)

// A Topic is a kind of what happens.
type Topic string

// The topics.
const (
	Failed   Topic = "failed"    // an export was given up
	Doubt    Topic = "doubt"     // an export landed, and is to be looked at twice
	Damage   Topic = "damage"    // an export, or the ledger, is damaged or gone
	Gap      Topic = "gap"       // time that is to be covered is not, or something is late
	Unlisted Topic = "unlisted"  // a place can't be listed
	AllClear Topic = "all-clear" // nothing is wrong any more of what was told
	Daily    Topic = "daily"     // once a day, whatever happened
	Test     Topic = "test"      // a person tries whether it arrives
)

// Topics are those that a target may want to hear of, what is worst first.
var Topics = []Topic{Damage, Failed, Unlisted, Gap, Doubt, AllClear, Daily}

// A Target is one place that messages go to. Which fields count depends on By.
type Target struct {
	Name string  // its own, by which the ledger knows it
	By   Service // one of Services
	On   []Topic // what it wants to hear of

	URL     Secret // of chats, webhooks and pings
	Secret  Secret // that signs; none where it is zero
	Keyword string // that each message is to have, since the chat takes no other
	Command string // a program

	Server   string // of mail, HOST:PORT
	TLS      string // to the server: "implicit", "starttls" or "none"
	From, To string // addresses; To may be several, with commas
	User     string // at the server; "": it asks for none
	Password Secret

	Gather   time.Duration // what happens meanwhile is in one message
	Interval time.Duration // the least between two messages
	Every    time.Duration // between two pings
	At       time.Duration // since midnight, when the daily message is due
}

// A Secret says where a secret is: in a file, or in a variable of the environment.
type Secret struct{ File, Env string }

// Read reads the secret, and makes it known as one. The zero Secret is "".
func (s Secret) Read() (string, error) {
	text := os.Getenv(s.Env)
	if s.File != "" {
		b, err := os.ReadFile(s.File)
		if err != nil {
			return "", err
		}
		text = string(b)
	}
	text = strings.TrimSpace(text)
	switch {
	case s == Secret{}:
		return "", nil
	case text == "" && s.File != "":
		return "", fmt.Errorf("%s is empty", s.File)
	case text == "":
		return "", fmt.Errorf("%s is not set in the environment", s.Env)
	}
	redact.Add(text)
	return text, nil
}

// A Message is what a target is told at once.
type Message struct {
	Schema  string   `json:"schema"`  // tallyman.message/v1
	ID      string   `json:"id"`      // another for each message, and the same if it is sent again
	Archive string   `json:"archive"` // its ID
	Title   string   `json:"title"`
	Topics  []Topic  `json:"topics"`           // that it is about
	Lines   []string `json:"lines"`            // of at most 40 columns, what is worst first
	Events  []Event  `json:"events,omitempty"` // the first of what happened
}

// An Event is one thing that happened.
type Event struct {
	Topic Topic  `json:"topic"`
	About string `json:"about"`           // the reference of an export, or a place
	Cause string `json:"cause,omitempty"` // in one word
}

// MessageSchema names the form of a Message in JSON.
const MessageSchema = "tallyman.message/v1"

// Text is the title and the lines.
func (m Message) Text() string { return strings.Join(append([]string{m.Title}, m.Lines...), "\n") }

// A Service is how messages get to a target.
type Service string

// The services.
const (
	Mail     Service = "mail"
	Command  Service = "command"
	Webhook  Service = "webhook"
	DingTalk Service = "dingtalk"
	Feishu   Service = "feishu"
	WeCom    Service = "wecom"
	Slack    Service = "slack"
	Ping     Service = "ping" // asks for its URL for as long as all is well, and tells nothing
)

// Services are all services.
var Services = []Service{Mail, Command, Webhook, DingTalk, Feishu, WeCom, Slack, Ping}

// senders send by each service.
var senders = map[Service]func(context.Context, *Target, Message) error{
	Mail: sendMail, Command: sendCommand, Webhook: sendWebhook, DingTalk: sendDingTalk, Feishu: sendFeishu, WeCom: sendWeCom, Slack: sendSlack, Ping: sendPing,
}

// ErrRefused is of a message that a service does not take, or not now. To send it again soon
// is of no use.
var ErrRefused = errors.New("it was refused")

// sendTimeout is for one try.
const sendTimeout = 30 * time.Second

// Send sends a message, in one try. Its error has no secret in it.
func (t *Target) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	m.Schema = MessageSchema
	if err := senders[t.By](ctx, t, m); err != nil {
		return fmt.Errorf("notify %s: %w", t.Name, err)
	}
	return nil
}

// Check looks whether what a target needs is there, and sends nothing.
func (t *Target) Check() (err error) {
	switch t.By {
	case Command:
		_, err = exec.LookPath(t.Command)
	case Mail:
		_, err = t.Password.Read()
	default:
		_, _, err = t.signed()
	}
	return err
}

// Files are the files that hold the target's secrets.
func (t *Target) Files() (files []string) {
	for _, s := range []Secret{t.URL, t.Secret, t.Password} {
		if s.File != "" {
			files = append(files, s.File)
		}
	}
	return files
}
