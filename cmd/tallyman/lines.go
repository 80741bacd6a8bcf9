package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"tallyman/cmd/tallyman/internal/flagvalue"
)

// A line is one of --file. One with an error is the last.
type line struct {
	file   string
	number int
	text   string
	err    error
}

// blame says which line an error is about.
func (l line) blame(err error) error {
	return usagef("%s, line %d: %w", l.file, l.number, err)
}

// longestLine is how long a line may be, and more than any reference is.
const longestLine = 1 << 20

// fileLines are the lines of --file that are not empty and don't begin with a
// number sign, without the space around them. They come as they are written,
// and end with ctx too: what the flag names may be a pipe that nobody writes
// to, or one that never ends.
func (o *options) fileLines(ctx context.Context, stdin io.Reader) iter.Seq[line] {
	return func(yield func(line) bool) {
		if o.file == "" {
			return
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		lines := make(chan line)
		go func() {
			defer close(lines)
			o.readFile(stdin, func(l line) bool { return send(ctx, lines, l) })
		}()
		for l := range receive(ctx, lines) {
			if !yield(l) {
				return
			}
		}
	}
}

func send(ctx context.Context, lines chan<- line, l line) bool {
	select {
	case lines <- l:
		return true
	case <-ctx.Done():
		return false
	}
}

func receive(ctx context.Context, lines <-chan line) iter.Seq[line] {
	return func(yield func(line) bool) {
		for {
			select {
			case l, ok := <-lines:
				if !ok || !yield(l) {
					return
				}
			case <-ctx.Done():
				yield(line{err: fmt.Errorf("--file: %w", context.Cause(ctx))})
				return
			}
		}
	}
}

func (o *options) readFile(stdin io.Reader, yield func(line) bool) {
	if o.file == "-" {
		readLines("standard input", stdin, yield)
		return
	}
	f, err := os.Open(o.file)
	if err != nil {
		yield(line{err: usagef("--file: %w", err)})
		return
	}
	defer f.Close()
	readLines(o.file, f, yield)
}

func readLines(name string, r io.Reader, yield func(line) bool) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, longestLine)
	n := 0
	for s.Scan() {
		n++
		text := strings.TrimSpace(strings.TrimPrefix(s.Text(), "\ufeff"))
		if text != "" && text[0] != '#' && !yield(line{file: name, number: n, text: text}) {
			return
		}
	}
	l := line{file: name, number: n + 1}
	if l.err = s.Err(); errors.Is(l.err, bufio.ErrTooLong) {
		l.err = fmt.Errorf("it is longer than %s", flagvalue.FormatSize(longestLine))
	}
	if l.err != nil {
		l.err = l.blame(l.err)
		yield(l)
	}
}

// canCheck reports whether --file can be read twice: to see that it is in
// order, and to do what it says. A pipe can't. It fails if there is no file.
func (o *options) canCheck() (bool, error) {
	if o.file == "" || o.file == "-" {
		return false, nil
	}
	info, err := os.Stat(o.file)
	switch {
	case err != nil:
		return false, usagef("--file: %w", err)
	case info.IsDir():
		return false, usagef("--file %s: it is a directory", o.file)
	}
	return info.Mode().IsRegular(), nil
}
