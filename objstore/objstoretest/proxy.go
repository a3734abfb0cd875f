package objstoretest

import (
	"io"
	"net/http"
	"net/url"
)

// NewProxy returns a handler that passes requests to an S3 server, as t breaks them: for processes and clients that no
// transport can be given to. They are told the address of the http.Server, or httptest.Server, that it is put into, as if
// it were the store's; their signatures stay good, because the server sees the host that they have signed.
//
//	faults := objstoretest.NewTransport(nil, "/bucket/folder/", plan)
//	front := httptest.NewServer(objstoretest.NewProxy(&url.URL{Scheme: "http", Host: "127.0.0.1:9000"}, faults))
//
// Where t refuses or breaks a connection, the client's is cut.
func NewProxy(server *url.URL, t http.RoundTripper) http.Handler {
	return &proxy{server: server, transport: t}
}

type proxy struct {
	server    *url.URL
	transport http.RoundTripper
}

// hopHeaders are about one connection and not about the request.
var hopHeaders = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade", "Expect"}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	response, err := p.transport.RoundTrip(p.forward(r))
	if err != nil {
		panic(http.ErrAbortHandler) // cuts the connection: the client gets no answer
	}
	defer response.Body.Close()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	for _, name := range hopHeaders {
		w.Header().Del(name)
	}
	w.WriteHeader(response.StatusCode)
	if err := copyFlushed(w, response.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// forward is the request as it goes on. Its Host stays.
func (p *proxy) forward(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.server.Scheme, p.server.Host
	for _, name := range hopHeaders {
		out.Header.Del(name)
	}
	if _, told := out.Header["User-Agent"]; !told {
		out.Header["User-Agent"] = nil // and none is made up
	}
	if out.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return out
}

// copyFlushed passes on what comes when it comes: the half of a slow body must not wait for the rest, and the part of a
// short one must be there before the connection is cut.
func copyFlushed(w http.ResponseWriter, body io.Reader) error {
	flush := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if err := flush.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
