// Package acs holds what the providers of Alibaba Cloud share: the keys that
// they sign their calls with, and the RPC call of those whose API has that
// form.
package acs

import (
	"fmt"
	"io"
	"log/slog"
)

// Keys sign a call. Printed with any verb, logged or marshalled, they show their ID
// only. Don't keep them in unexported fields, which package fmt prints by reflection.
type Keys struct {
	AccessKeyID     string
	AccessKeySecret string `json:"-"`
	SecurityToken   string `json:"-"` // of STS, or ""
	Source          string // where they were found, in words, or "" if that is not known
}

// String returns "access key" and the ID.
func (k Keys) String() string { return "access key " + k.AccessKeyID }

// Format prints String, whatever the verb.
func (k Keys) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue returns String.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Secrets returns what must never be shown of the keys.
func (k Keys) Secrets() []string { return []string{k.SecurityToken, k.AccessKeySecret} }
