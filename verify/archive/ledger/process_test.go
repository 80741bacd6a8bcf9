//go:build unix

package ledger

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// childVar makes the test binary run child with the ledger in that directory.
const childVar = "LEDGER_TEST_CHILD"

// child appends the lines from one number to another, and freezes where it was told to:
// it prints a line and waits for its standard input to end.
func child(dir string, args []string) error {
	var first, end int
	var freeze string
	if _, err := fmt.Sscan(strings.Join(args, " "), &first, &end, &freeze); err != nil {
		return err
	}
	l := Open(dir, genesis, func(op, _ string) error {
		if op == freeze {
			fmt.Println("at", op)
			_, err := io.Copy(io.Discard, os.Stdin)
			return err
		}
		return nil
	})
	for n := first; n < end; n++ {
		if err := l.Append(landed(n)); err != nil {
			return err
		}
	}
	return nil
}

// start starts a child, whose output is read as it comes.
func start(t *testing.T, dir string, first, end int, freeze string) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	cmd = exec.Command(os.Args[0], fmt.Sprint(first), fmt.Sprint(end), freeze)
	cmd.Env = append(os.Environ(), childVar+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, in, bufio.NewReader(stdout)
}

func TestEveryLineOfManyProcessesIsThereOnce(t *testing.T) {
	dir, each := filepath.Join(t.TempDir(), ".ledger"), 100
	var all sync.WaitGroup
	for n := range 4 {
		cmd, _, _ := start(t, dir, n*each, (n+1)*each, "never")
		all.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	l := Open(dir, genesis, nil)
	for reading := true; reading; {
		select {
		case <-ended:
			reading = false
		default:
			mustRead(t, l) // meanwhile, which finds whole lines and no damage
			if _, err := l.Index(); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustAppend(t, l, landed(4*each)) // takes in what is in side files
	mustHaveOnce(t, l, 4*each+1)
}

// A process that is stopped while it holds the lock, with its line written or not, stops
// nobody, and goes on when it is continued.
func TestAStoppedProcessStopsNobody(t *testing.T) {
	for _, freeze := range []string{"write", "sync"} {
		t.Run(freeze, func(t *testing.T) {
			l := newLedger(t)
			mustAppend(t, l, landed(0))
			cmd, in, out := start(t, l.dir, 1, 2, freeze)
			if said, err := out.ReadString('\n'); err != nil || said != "at "+freeze+"\n" {
				t.Fatalf("%q, %v", said, err)
			}
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			l.frozen = true // as after the first 5 seconds
			mustAppend(t, l, landed(2))
			keys := map[string]int{}
			for _, line := range mustRead(t, l) {
				keys[line.Key]++
			}
			if keys[landed(2).Key] != 1 {
				t.Errorf("read %v", keys)
			}
			if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, l, landed(3))
			mustHaveOnce(t, l, 4)
			if found, err := l.list(); err != nil || len(found.sides) > 0 {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}

// A holder that is killed leaves its lock to the next.
func TestAKilledProcessLeavesTheLock(t *testing.T) {
	l := newLedger(t)
	mustAppend(t, l, landed(0))
	cmd, _, out := start(t, l.dir, 1, 2, "write")
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	mustAppend(t, l, landed(1))
	mustHaveOnce(t, l, 2)
	if line := mustRead(t, l)[1]; line.Seq != 2 {
		t.Errorf("not under the lock: %+v", line)
	}
}
