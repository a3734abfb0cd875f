package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"
)

// Admin is for an address that only operators reach: /metrics, /debug/pprof/,
// the health of s, and /loglevel, which a PUT with debug, info, warn or error
// changes. With tokens, it asks for one of scope admin, but not for health.
func Admin(s *Server, level *slog.LevelVar) http.Handler {
	inner := http.NewServeMux()
	inner.Handle("GET /metrics", s.o.Meter.Handler())
	inner.HandleFunc("/debug/pprof/", pprof.Index)
	inner.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	inner.HandleFunc("/debug/pprof/profile", pprof.Profile)
	inner.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	inner.HandleFunc("/debug/pprof/trace", pprof.Trace)
	inner.HandleFunc("GET /loglevel", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, strings.ToLower(level.Level().String())+"\n")
	})
	inner.HandleFunc("PUT /loglevel", func(w http.ResponseWriter, r *http.Request) {
		name, err := io.ReadAll(io.LimitReader(r.Body, 64))
		var l slog.Level
		if err == nil {
			err = l.UnmarshalText([]byte(strings.TrimSpace(string(name))))
		}
		if err != nil {
			text(w, http.StatusBadRequest, "want debug, info, warn or error\n")
			return
		}
		level.Set(l)
		s.o.Logger.Log(r.Context(), max(l, slog.LevelInfo), "server: log level changed", "level", l)
		text(w, http.StatusOK, strings.ToLower(l.String())+"\n")
	})
	outer := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{"/healthz": s.healthy, "/readyz": s.ready} {
		outer.HandleFunc("GET "+path, h)
	}
	outer.Handle("/", s.o.Tokens.Require(inner))
	return outer
}
