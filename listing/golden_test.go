package listing

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoldenRow: rows of version 1 stay readable, are what this build writes,
// and stand in FORMAT.md as they are in the file.
func TestGoldenRow(t *testing.T) {
	l := someListings()[2]
	var dump strings.Builder
	fmt.Fprintf(&dump, "%x\n%+v\n", Append(nil, l), l)
	want, err := os.ReadFile(filepath.Join("testdata", "format", "v1", "row.txt"))
	check(t, err)
	if dump.String() != string(want) {
		t.Errorf("got %s, want %s", dump.String(), want)
	}
	b, err := hex.DecodeString(strings.Split(string(want), "\n")[0])
	check(t, err)
	if got, err := Decode(b); err != nil || got != l {
		t.Errorf("got %+v, %v, want %+v", got, err, l)
	}
	format, err := os.ReadFile("FORMAT.md")
	check(t, err)
	if !strings.Contains(string(format), "```\n"+string(want)+"```") {
		t.Error("FORMAT.md does not show row.txt")
	}
}
