//go:build !unix

package ledger

func giveAway(string) error { return nil }
