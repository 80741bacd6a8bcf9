package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"tallyman/worker"
)

// Of many exports that landed with doubts only the first are read, and all are counted.
func TestStatusCountsTheDoubtsThatItDoesNotList(t *testing.T) {
	var out bytes.Buffer
	c := &statusCommand{app: newApp(), stdout: &out, doubts: 60}
	for i := range maxListed + 1 {
		c.listed = append(c.listed, &statusLine{Reference: fmt.Sprintf("sls://r/p/%02d", i), State: worker.StateLanded, Doubts: []string{"odd"}})
	}
	c.printListed()
	if !strings.Contains(out.String(), " and 40 more: ") {
		t.Error(out.String())
	}
}
