package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/wneessen/go-mail"
)

// The ways to have TLS to a server of mail.
const (
	TLSImplicit = "implicit" // from the first byte
	TLSStart    = "starttls" // begun by the server's word, and refused without
	TLSNone     = "none"
)

// roots are the certificates that are trusted; nil are those of the system.
var roots *x509.CertPool

// sendMail sends a Message as text. Without TLS it sends no password.
func sendMail(ctx context.Context, t *Target, m Message) error {
	client, err := t.mailClient()
	if err != nil {
		return err
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.From(t.From), msg.ToFromString(t.To)); err != nil {
		return err
	}
	msg.Subject(m.Title)
	msg.SetDate()
	msg.SetMessageIDWithValue(m.ID + "@tallyman.invalid")
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // so that nobody's absence answers
	msg.SetBodyString(mail.TypeTextPlain, m.Text()+"\n")
	err = client.DialAndSendWithContext(ctx, msg)
	if refused, ok := errors.AsType[*mail.SendError](err); ok && !refused.IsTemp() {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// mailClient is a client of the target's server.
func (t *Target) mailClient() (*mail.Client, error) {
	host, port, err := net.SplitHostPort(t.Server)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("%s: the port is no number", t.Server)
	}
	options := []mail.Option{mail.WithPort(number), mail.WithTimeout(sendTimeout), mail.WithTLSConfig(&tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12})}
	switch t.TLS {
	case TLSImplicit:
		options = append(options, mail.WithSSL())
	case TLSNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if t.User != "" {
		password, err := t.Password.Read()
		if err != nil {
			return nil, err
		}
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(t.User), mail.WithPassword(password))
	}
	return mail.NewClient(host, options...)
}
