package objstoretest_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// TestTransportSeesOperations: what an HTTP request is to the plan. Only objects of the folder lose what stands in front of
// their names.
func TestTransportSeesOperations(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	var seen string
	transport := objstoretest.NewTransport(nil, "/bucket/folder/", objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
		seen = op.String()
		return objstoretest.Fault{}
	}})
	for _, c := range []struct{ method, path, header, want string }{
		{"GET", "/bucket/folder/wal/1", "", "get wal/1 0 ok"},
		{"GET", "/bucket/folder/wal/1", "If-None-Match: \"x\"", "get_if_changed wal/1 0 ok"},
		{"GET", "/bucket/folder/wal/1", "Range: bytes=10-19", "get_range wal/1 [10,20) 0 ok"},
		{"HEAD", "/bucket/folder/wal/1", "", "head wal/1 0 ok"},
		{"GET", "/bucket?list-type=2&prefix=folder%2Fwal%2F", "", "list wal/ 0 ok"},
		{"GET", "/bucket/", "", "list /bucket/ 0 ok"},
		{"PUT", "/bucket/folder/a%20b", "If-None-Match: *", "put a b if-absent 0 ok"},
		{"PUT", "/bucket/folder/m", "If-Match: \"x\"", "put m if-match \"x\" 0 ok"},
		{"PUT", "/bucket/folder/m", "", "put m always 0 ok"},
		{"DELETE", "/bucket/folder/m", "", "delete m 0 ok"},
		{"POST", "/bucket/folder/m?uploads", "", "post m 0 ok"},
		{"GET", "/bucket/beside", "If-Match: x", "list /bucket/beside/ 0 ok"},
	} {
		r, err := http.NewRequest(c.method, server.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			r.Header.Set(name, value)
		}
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if seen != c.want {
			t.Errorf("%s %s %s: seen as %q, want %q", c.method, c.path, c.header, seen, c.want)
		}
	}
}

// TestProxyCutsConnections: an outage is one to clients behind the proxy, too, and ends.
func TestProxyCutsConnections(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "content") }))
	defer server.Close()
	faults := objstoretest.NewTransport(nil, "/", objstoretest.Plan{})
	behind, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(objstoretest.NewProxy(behind, faults))
	defer front.Close()
	faults.Down(true)
	if response, err := http.Get(front.URL); err == nil {
		t.Errorf("through the proxy: got %s in an outage", response.Status)
	}
	_, err = (&http.Client{Transport: faults}).Get(server.URL)
	if !errors.Is(err, objstoretest.ErrInjected) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("through the transport: got %v", err)
	}
	faults.Down(false)
	response, err := http.Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "content" {
		t.Errorf("after the outage: got %q, %v", body, err)
	}
}
