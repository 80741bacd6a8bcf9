package verify_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"tallyman/verify"
)

// The job promised a size and the store a CRC64. Both are checked while the bytes
// are read.
func ExampleWire() {
	job := verify.Want{Size: 20}
	store := verify.Want{Size: verify.Unknown, CRC64: "5509982644934318331"}
	want, err := job.Merge("export.csv", store)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, body := range []string{"time,level\n1,INFO\n2\n", "time,level\n1,INFO\n"} {
		wire := verify.NewWire("export.csv", want, strings.NewReader(body))
		_, err = io.Copy(io.Discard, wire) // nil if the wire gave io.EOF: every promise held
		var mismatch *verify.Mismatch
		switch {
		case errors.As(err, &mismatch):
			fmt.Println("not to be used:", mismatch)
		case err == nil:
			fmt.Println("proven by", wire.Result().Proof)
		}
	}
	// Output:
	// proven by crc64
	// not to be used: export.csv: size is 18, promised 20
}
