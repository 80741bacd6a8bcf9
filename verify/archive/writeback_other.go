//go:build !linux

package archive

import "os"

func startWriteBack(*os.File, int64, int64) {}
