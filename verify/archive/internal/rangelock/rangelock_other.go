//go:build !linux

package rangelock

import (
	"errors"
	"os"
)

func lock(*os.File, int64, int64) (bool, error) { return false, errors.ErrUnsupported }

func isLocked(*os.File, int64) (bool, error) { return false, errors.ErrUnsupported }
