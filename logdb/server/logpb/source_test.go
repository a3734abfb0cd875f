package logpb

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

// Whoever changes log.proto generates the code again.
func TestGeneratedFromThisSource(t *testing.T) {
	if got := fmt.Sprintf("%x", sha256.Sum256(Source)); got != generatedFrom {
		t.Fatalf("log.proto has SHA-256 %s, the code was generated from %s: run go generate here", got, generatedFrom)
	}
}
