package server

import (
	_ "embed"
	"net/http"
	"strconv"

	"github.com/logdb-go/logdb/logdb/server/logpb"
	"github.com/logdb-go/logdb/logdb/server/page"
)

// OpenAPI is the description of the HTTP API, version 3.1 in YAML. A test holds
// the handlers to it.
//
//go:embed openapi.yaml
var OpenAPI []byte

// documents serves what describes the API. It needs no token: there is nothing
// of the log in it.
func (s *Server) documents() {
	for path, d := range map[string]struct {
		kind    string
		content []byte
	}{
		"/api/v1/openapi.yaml": {"application/yaml", OpenAPI},
		"/api/v1/log.proto":    {"text/plain; charset=utf-8", logpb.Source},
	} {
		s.mux.Handle("GET "+path, s.o.Meter.count("documents", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", d.kind)
			w.Header().Set("Content-Length", strconv.Itoa(len(d.content)))
			_, _ = w.Write(d.content)
		}))
	}
}

// page serves the page at /. It needs no token either: it asks for one.
func (s *Server) page() {
	files, err := page.Handlers()
	if err != nil { // what is embedded was tested: the API goes on without
		s.o.Logger.Error("server: no page", "err", err)
	}
	for pattern, f := range files {
		s.mux.Handle(pattern, s.o.Meter.count("page", f))
	}
}
