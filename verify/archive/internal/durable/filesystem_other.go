//go:build !linux

package durable

import (
	"errors"
	"os"
)

// MeasureSpace can't say.
func MeasureSpace(string) (Space, bool) { return Space{}, false }

// StartWriteBack does nothing: the sync in the end writes it all.
func StartWriteBack(*os.File, int64, int64) {}

// OpenWhole returns nil: each file is synced by itself.
func OpenWhole(string) *os.File { return nil }

// SyncWhole can't.
func SyncWhole(*os.File) error { return errors.ErrUnsupported }
