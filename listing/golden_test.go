package listing

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoldenRow: rows of every version stay readable. Those of the last are what
// this build writes, and stand in FORMAT.md as they are in the file.
func TestGoldenRow(t *testing.T) {
	l := someListings()[2]
	var dump strings.Builder
	fmt.Fprintf(&dump, "%x\n%+v\n", Append(nil, l), l)
	var want []byte
	for _, version := range []string{"v1", "v2"} {
		var err error
		want, err = os.ReadFile(filepath.Join("testdata", "format", version, "row.txt"))
		check(t, err)
		b, err := hex.DecodeString(strings.Split(string(want), "\n")[0])
		check(t, err)
		if got, err := Decode(b); err != nil || got != l {
			t.Errorf("%s: got %+v, %v, want %+v", version, got, err, l)
		}
	}
	if dump.String() != string(want) {
		t.Errorf("got %s, want %s", dump.String(), want)
	}
	format, err := os.ReadFile("FORMAT.md")
	check(t, err)
	if !strings.Contains(string(format), "```\n"+string(want)+"```") {
		t.Error("FORMAT.md does not show row.txt")
	}
}
