package archive

import (
	"testing"
	"testing/synctest"
	"time"

	"tallyman/verify"
)

// A process that is killed loses the bytes that are not in the part index.
func TestBytesThatComeSlowlyAreIndexedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := mustBegin(t, mustOpen(t, t.TempDir()))
		defer in.Close()
		p := mustPartial(t, in, "o", verify.Want{Size: defaultIndexEvery})
		defer p.Close()
		for part := range p.Missing(defaultIndexEvery, defaultIndexEvery) {
			for range 10 {
				if _, err := part.Write(make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				if lost := part.n - part.indexed; lost > 2000 {
					t.Errorf("%d bytes would be lost, where 1000 come in %v", lost, indexInterval)
				}
				time.Sleep(indexInterval)
			}
		}
	})
}
