package notify

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"time"
)

// sendCommand runs a program, with the Message as JSON on its standard input and with its
// title and its text in TALLYMAN_TITLE and TALLYMAN_TEXT. It has taken it if it exits with 0.
func sendCommand(ctx context.Context, t *Target, m Message) error {
	cmd := exec.CommandContext(ctx, t.Command)
	cmd.Env = append(cmd.Environ(), "TALLYMAN_TITLE="+m.Title, "TALLYMAN_TEXT="+m.Text())
	cmd.Stdin = bytes.NewReader(append(encode(m), '\n'))
	var said limitedBuffer
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if text := clean(string(said)); err != nil && text != "" {
		return fmt.Errorf("%s: %w: %s", t.Command, err, text)
	} else if err != nil {
		return fmt.Errorf("%s: %w", t.Command, err)
	}
	return nil
}

// A limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer []byte

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxAnswer-len(*b))]...)
	return len(p), nil
}
