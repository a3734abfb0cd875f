//go:build unix

package objstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

const (
	processes     = 4
	processRounds = 60
	racerDir      = "LOGDB_TEST_RACER_DIR"
	racerName     = "LOGDB_TEST_RACER_NAME"
)

// TestMain makes this binary the other process of the tests below, too.
func TestMain(m *testing.M) {
	if dir := os.Getenv(racerDir); dir != "" {
		if err := raceAsProcess(dir, os.Getenv(racerName)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// raceAsProcess runs for every name and counts up; it prints one line for each thing that it was told it did. It begins when
// its standard input says so.
func raceAsProcess(dir, name string) error {
	b, err := objstore.NewFile(dir)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	for round := range processRounds {
		object := fmt.Sprintf("race/%d/x", round)
		_, err := b.Put(context.Background(), object, []byte(name), objstore.IfAbsent())
		if err == nil {
			fmt.Println("won", object)
		} else if !errors.Is(err, objstore.ErrPrecondition) {
			return err
		}
		applied, err := countUp(b, name)
		if err != nil {
			return err
		}
		if applied {
			fmt.Println("counted")
		}
	}
	return nil
}

func countUp(b objstore.Bucket, who string) (bool, error) {
	ctx := context.Background()
	o, err := b.Get(ctx, "counter")
	if err != nil {
		return false, err
	}
	text, _, _ := strings.Cut(string(o.Data), " ")
	value, err := strconv.Atoi(text)
	if err != nil {
		return false, err
	}
	_, err = b.Put(ctx, "counter", fmt.Appendf(nil, "%d by %s", value+1, who), objstore.IfMatch(o.ETag))
	if errors.Is(err, objstore.ErrPrecondition) {
		return false, nil
	}
	return err == nil, err
}

type racer struct {
	name   string
	cmd    *exec.Cmd
	start  io.WriteCloser
	output *bufio.Scanner
}

func startRacer(t *testing.T, dir string, number int) *racer {
	t.Helper()
	r := &racer{name: strconv.Itoa(number), cmd: exec.Command(os.Args[0])}
	r.cmd.Env = append(os.Environ(), racerDir+"="+dir, racerName+"="+r.name)
	r.cmd.Stderr = os.Stderr
	stdin, err := r.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.start, r.output = stdin, bufio.NewScanner(stdout)
	if !r.output.Scan() || r.output.Text() != "ready" {
		t.Fatalf("racer %s: got %q, want ready", r.name, r.output.Text())
	}
	return r
}

// TestFileBetweenProcesses: several processes race for the same names and count on the same counter. Every name has one
// winner, who finds his own bytes there, and no increment is lost.
func TestFileBetweenProcesses(t *testing.T) {
	dir := t.TempDir()
	b := openFile(t, dir)
	put(t, b, "counter", "0 at the start", objstore.IfAbsent())
	racers := startRacers(t, dir)
	winners := map[string][]string{}
	counted := 0
	for _, r := range racers {
		for r.output.Scan() {
			if object, won := strings.CutPrefix(r.output.Text(), "won "); won {
				winners[object] = append(winners[object], r.name)
			} else {
				counted++
			}
		}
		if err := r.cmd.Wait(); err != nil {
			t.Fatalf("racer %s: %v", r.name, err)
		}
	}
	for round := range processRounds {
		object := fmt.Sprintf("race/%d/x", round)
		o, err := b.Get(t.Context(), object)
		if err != nil || len(winners[object]) != 1 || winners[object][0] != string(o.Data) {
			t.Fatalf("%q holds the bytes of %q, %v, and %q were told that they had won", object, o.Data, err, winners[object])
		}
	}
	wantCounter(t, b, func(n int) bool { return n == counted && n >= processRounds })
	wantNoTemps(t, dir)
}

func startRacers(t *testing.T, dir string) []*racer {
	t.Helper()
	var racers []*racer
	for i := range processes {
		racers = append(racers, startRacer(t, dir, i))
	}
	for _, r := range racers {
		if _, err := io.WriteString(r.start, "go\n"); err != nil {
			t.Fatal(err)
		}
	}
	return racers
}

func wantCounter(t *testing.T, b objstore.Reader, ok func(int) bool) {
	t.Helper()
	o, err := b.Get(t.Context(), "counter")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(o.Data), " ")
	if value, err := strconv.Atoi(text); err != nil || !ok(value) {
		t.Fatalf("the counter stands at %q, %v", text, err)
	}
}

// TestFileKilledProcesses: processes are killed wherever they are, with the lock in their hands or a file half written. What
// they were told stands, nobody else is held up, and the next one to write tidies up.
func TestFileKilledProcesses(t *testing.T) {
	dir := t.TempDir()
	b := openFile(t, dir)
	put(t, b, "counter", "0 at the start", objstore.IfAbsent())
	acknowledged := 0
	for kill := 1; kill <= 12; kill++ {
		racers := startRacers(t, dir)
		for i, r := range racers {
			for line := 0; line < kill+i && r.output.Scan(); line++ {
				if r.output.Text() == "counted" {
					acknowledged++
				}
			}
			_ = r.cmd.Process.Kill()
			for r.output.Scan() {
				if r.output.Text() == "counted" {
					acknowledged++
				}
			}
			_ = r.cmd.Wait()
		}
	}
	if acknowledged == 0 {
		t.Fatal("nothing was acknowledged before the kills")
	}
	// One increment of each killed process may have been applied without it being able to say so.
	wantCounter(t, b, func(n int) bool { return acknowledged <= n && n <= acknowledged+12*processes })
	put(t, openFile(t, dir), "after", "the sweep", objstore.IfAbsent())
	wantNoTemps(t, dir)
	for info, err := range b.List(t.Context(), "race/", "") {
		if err != nil || info.Size != 1 {
			t.Fatalf("after the kills: %+v, %v, want one byte in every object", info, err)
		}
	}
}

func wantNoTemps(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir + "/.tmp")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != "lock" {
			t.Errorf("left behind: %s", entry.Name())
		}
	}
}
