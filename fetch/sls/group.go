package sls

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/redact"
)

// longGroup is the length past which a query is hashed: a line of the ledger holds it.
const longGroup = 1 << 10

// hashedQuery is what a query that was hashed begins with.
const hashedQuery = "query "

// WindowGroup is the Group of the windows of one log store and query; the query "" selects
// all.
func WindowGroup(logStore, query string) string {
	group := logStore + " " + cmp.Or(strings.TrimSpace(redact.Text(query)), "*") // no name of a log store has a space
	if len(group) > longGroup {
		group = fmt.Sprintf("%s %s%x", logStore, hashedQuery, sha256.Sum256([]byte(group)))
	}
	return group
}

// SplitGroup returns the log store and the query of a Group. It wraps fetch.ErrNotCountable
// if the group does not hold all of the query.
func SplitGroup(group string) (logStore, query string, err error) {
	logStore, query, ok := strings.Cut(group, " ")
	if !ok || logStore == "" || query == "" {
		return "", "", fmt.Errorf("%w: it names no log store and query", fetch.ErrNotCountable)
	}
	sum, isHashed := strings.CutPrefix(query, hashedQuery)
	if _, notHex := hex.DecodeString(sum); isHashed && len(sum) == 2*sha256.Size && notHex == nil {
		return "", "", fmt.Errorf("%w: of a query of more than %d bytes the hash alone is kept", fetch.ErrNotCountable, longGroup)
	}
	if strings.Contains(query, "***") || strings.Contains(query, "://") && strings.Contains(query, "?") {
		return "", "", fmt.Errorf("%w: the query held what looks like a secret, which is not kept", fetch.ErrNotCountable)
	}
	return logStore, query, nil
}

// searchOf returns the search of a query that does nothing but select. It wraps
// fetch.ErrNotCountable for one that does more.
func searchOf(query string) (string, error) {
	search, sql, ok := strings.Cut(query, "|")
	if words := strings.Fields(sql); ok && !strings.EqualFold(strings.Join(words, " "), "select *") {
		return "", fmt.Errorf("%w: its query has SQL", fetch.ErrNotCountable)
	}
	return cmp.Or(strings.TrimSpace(search), "*"), nil
}
