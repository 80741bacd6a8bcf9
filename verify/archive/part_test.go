package archive

import (
	"testing"
	"testing/synctest"
	"time"

	"tallyman/verify"
)

// A process that is killed has lost what is not on the map.
func TestBytesThatComeSlowlyAreOnTheMapSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := mustBegin(t, mustOpen(t, t.TempDir()))
		defer in.Close()
		p := mustPartial(t, in, "o", verify.Want{Size: stride})
		defer p.Close()
		for part := range p.Missing(stride, stride) {
			for range 10 {
				if _, err := part.Write(make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				if lost := part.n - part.marked; lost > 2000 {
					t.Errorf("%d bytes would be lost, where 1000 come in %v", lost, while)
				}
				time.Sleep(while)
			}
		}
	})
}
