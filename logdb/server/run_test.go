package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// running is a Server that listens by Run, until it is told to stop.
type running struct {
	*bench
	address string
	stop    context.CancelFunc
	ended   chan error
}

func run(t *testing.T, so Options, o RunOptions) *running {
	t.Helper()
	f := newBench(t, so)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{bench: f, address: l.Addr().String(), stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- f.s.Run(ctx, l, o) }()
	f.url = "http://" + r.address
	t.Cleanup(func() {
		stop()
		select {
		case err := <-r.ended:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("it does not end")
		}
	})
	return r
}

// When it is told to end, followers are sent away and requests under way are
// answered.
func TestRunDrains(t *testing.T) {
	r := run(t, Options{}, RunOptions{})
	s := r.follow("key=k")
	s.until("heartbeat")
	got := make(chan object, 1)
	go func() { got <- r.get("scan?key=k&follow=true&timeout_ms=60000") }()
	eventually(t, "a waiting scan", func() bool { return r.metric("logdb_waiting_requests") == "1" })
	r.stop()
	if e, ok := s.next(); ok {
		t.Errorf("a follower of a server that ends got %+v", e)
	}
	(<-got).is(t, "status", "success")
	eventually(t, "no more connections", func() bool {
		conn, err := net.Dial("tcp", r.address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// Heads of requests are bounded in size and time, connections in number.
func TestRunLimits(t *testing.T) {
	r := run(t, Options{}, RunOptions{HeaderBytes: 4 << 10, HeaderTimeout: 100 * time.Millisecond, Connections: 2})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	big := dial()
	fmt.Fprintf(big, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 16<<10))
	resp, err := http.ReadResponse(bufio.NewReader(big), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large head: %v, %v", resp, err)
	}
	big.Close()
	slow, slower := dial(), dial()
	fmt.Fprint(slow, "GET /healthz HTT")
	fmt.Fprint(slower, "GET")
	third := dial() // waits until one of them was thrown out
	fmt.Fprint(third, "GET /healthz HTTP/1.0\r\n\r\n")
	for _, conn := range []net.Conn{slow, third} {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer, err := io.ReadAll(conn)
		if err != nil || (conn == third) != strings.Contains(string(answer), "200 OK") {
			t.Errorf("got %q, %v", answer, err)
		}
	}
}

// pair makes a certificate, signed by another or by itself.
func pair(t *testing.T, dir, name string, parent *tls.Certificate) (tls.Certificate, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	issuer, signer := template, any(key)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return c, certFile, keyFile
}

// With TLS nothing else is spoken, HTTP/2 is, and with an authority for clients
// only those get in that it vouches for.
func TestRunTLS(t *testing.T) {
	dir := t.TempDir()
	authority, authorityFile, _ := pair(t, dir, "authority", nil)
	stranger, _, _ := pair(t, dir, "stranger", nil)
	_, cert, key := pair(t, dir, "server", &authority)
	friend, _, _ := pair(t, dir, "friend", &authority)
	roots := x509.NewCertPool()
	roots.AddCert(authority.Leaf)
	for _, mutual := range []bool{false, true} {
		o := RunOptions{TLSCert: cert, TLSKey: key}
		if mutual {
			o.ClientCA = authorityFile
		}
		r := run(t, Options{}, o)
		get := func(certificates ...tls.Certificate) (string, error) {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			resp, err := (&http.Client{Transport: transport}).Get("https://" + r.address + "/healthz")
			if err != nil {
				return "", err
			}
			resp.Body.Close()
			return resp.Proto, nil
		}
		if proto, err := get(friend); err != nil || proto != "HTTP/2.0" {
			t.Errorf("mutual %v, a friend: %s, %v", mutual, proto, err)
		}
		if _, err := get(); (err != nil) != mutual {
			t.Errorf("mutual %v, nobody: %v", mutual, err)
		}
		if _, err := get(stranger); (err != nil) != mutual {
			t.Errorf("mutual %v, a stranger: %v", mutual, err)
		}
		if status, _, _ := r.do("GET", "/healthz", ""); status == 200 {
			t.Error("answered without TLS")
		}
	}
}

func TestRunRefusesWhatIsHalfSecure(t *testing.T) {
	for _, o := range []RunOptions{{ClientCA: "x"}, {TLSCert: "x"}, {TLSKey: "x"}, {TLSCert: "none", TLSKey: "none"}} {
		if c, err := o.tls(slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v gives %v", o, c)
		}
	}
}
