// Package page is the page that people look at a log with: files without a build
// step, embedded here, that ask the HTTP API beside them. There is nothing of the
// log in them, so they are served to everybody; what they show is what the API
// gives to the token that the visitor types in.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var assets embed.FS

// policy lets the page run its own scripts and ask its own server, and nothing
// else: no inline script or style, no frame, and no text that becomes markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// kinds are written out because those of package mime depend on the machine.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Handlers returns what to serve at which pattern of an http.ServeMux: the page at
// exactly /, and its files, by their names, below /assets/. They take GET and
// HEAD. Browsers keep the files and ask each time whether they are still good.
func Handlers() (map[string]http.HandlerFunc, error) {
	list, err := fs.ReadDir(assets, "assets")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	handlers := make(map[string]http.HandlerFunc, len(list))
	for _, file := range list {
		content, err := assets.ReadFile(path.Join("assets", file.Name()))
		if err != nil {
			return nil, fmt.Errorf("page: %w", err)
		}
		kind, known := kinds[path.Ext(file.Name())]
		if !known {
			return nil, fmt.Errorf("page: %s: no content type for such a name", file.Name())
		}
		pattern := "GET /assets/" + file.Name()
		if file.Name() == "index.html" {
			pattern = "GET /{$}"
		}
		handlers[pattern] = serve(kind, content)
	}
	return handlers, nil
}

func serve(kind string, content []byte) http.HandlerFunc {
	digest := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(digest[:16]) + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}
