package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// Certificates that are replaced are shown to the next client, and the authority
// of clients goes with them; half a rotation, a certificate without its key,
// changes nothing until the other half is there.
func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	authority, authorityFile, _ := pair(t, dir, "authority", nil)
	stranger, _, _ := pair(t, dir, "stranger", nil)
	first, cert, key := pair(t, dir, "server", &authority)
	second, newCert, newKey := pair(t, dir, "rotated", &authority)
	var log bytes.Buffer
	now := time.Unix(1_000_000, 0)
	c := &certificates{o: RunOptions{TLSCert: cert, TLSKey: key, ClientCA: authorityFile}, logger: slog.New(slog.NewTextHandler(&log, nil)), now: func() time.Time { return now }}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	stamp := time.Now()
	replace := func(file string, with []byte) {
		t.Helper()
		stamp = stamp.Add(time.Minute) // the clock of the file system may be coarse
		if err := os.WriteFile(file, with, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	read := func(file string) []byte {
		t.Helper()
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	shows := func(when string, want, client tls.Certificate) {
		t.Helper()
		config, err := c.current(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(config.Certificates[0].Certificate[0], want.Certificate[0]) {
			t.Errorf("%s: another certificate is shown", when)
		}
		if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: config.ClientCAs, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: the client is not believed: %v", when, err)
		}
	}
	shows("at first", first, authority)
	replace(cert, read(newCert))
	now = now.Add(certificatesEvery)
	shows("after half a rotation", first, authority)
	if !strings.Contains(log.String(), "those of before stay") {
		t.Errorf("half a rotation was not reported: %q", &log)
	}
	replace(key, read(newKey))
	shows("before it is time to look", first, authority)
	now = now.Add(certificatesEvery)
	shows("after the rotation", second, authority)
	replace(authorityFile, read(dir+"/stranger.pem"))
	now = now.Add(certificatesEvery)
	shows("with another authority", second, stranger)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certificatesEvery)
	shows("without a key", second, stranger)
}
