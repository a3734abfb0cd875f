package server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// scope is what a token may be used for.
type scope uint8

const (
	mayRead scope = 1 << iota
	mayAppend
	mayAdmin
)

var scopes = map[string]scope{"read": mayRead, "append": mayAppend, "admin": mayAdmin}

// Tokens are the bearer tokens of a file, which is looked at again, at most once
// a second, while they are asked for. A file that cannot be read or understood
// leaves those of before in force, and is logged.
//
// The file has a line per token: a name, the token or sha256: and its SHA-256 in
// hexadecimal, the scopes (read, append, admin, with commas), and then the
// prefixes of the keys that it is for, as they are or as base64: and base64.
// Without a prefix it is for every key. Text after # at the beginning of a field
// is a comment.
type Tokens struct {
	path   string
	logger *slog.Logger
	now    func() time.Time
	list   atomic.Pointer[tokenFile]
	next   atomic.Int64 // when to look again, ns
}

type tokenFile struct {
	grants  []*grant
	changed time.Time
	size    int64
}

// grant is what one token may do. A nil grant may do everything.
type grant struct {
	tokens   *Tokens
	name     string
	digest   [sha256.Size]byte
	scopes   scope
	prefixes [][]byte // none: every key
}

// OpenTokens reads a file of tokens. logger may be nil.
func OpenTokens(path string, logger *slog.Logger) (*Tokens, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	t := &Tokens{path: path, logger: logger, now: time.Now}
	if err := t.load(); err != nil {
		return nil, err
	}
	t.next.Store(t.now().Add(time.Second).UnixNano())
	return t, nil
}

func (t *Tokens) load() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return fmt.Errorf("server: tokens: %w", err)
	}
	if old := t.list.Load(); old != nil && old.changed.Equal(info.ModTime()) && old.size == info.Size() {
		return nil
	}
	data, err := os.ReadFile(t.path)
	if err != nil {
		return fmt.Errorf("server: tokens: %w", err)
	}
	grants, err := t.parse(data)
	if err != nil {
		return fmt.Errorf("server: tokens: %s: %w", t.path, err)
	}
	t.list.Store(&tokenFile{grants: grants, changed: info.ModTime(), size: info.Size()})
	return nil
}

// parse never puts a token into its error.
func (t *Tokens) parse(data []byte) ([]*grant, error) {
	var grants []*grant
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		for i, f := range fields {
			if strings.HasPrefix(f, "#") {
				fields = fields[:i]
				break
			}
		}
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d: want a name, a token and scopes, got %d fields", n, len(fields))
		}
		g := &grant{tokens: t, name: fields[0]}
		if err := g.parse(fields[1], fields[2], fields[3:]); err != nil {
			return nil, fmt.Errorf("line %d (%s): %w", n, g.name, err)
		}
		grants = append(grants, g)
	}
	return grants, lines.Err()
}

func (g *grant) parse(token, names string, prefixes []string) error {
	if digest, hashed := strings.CutPrefix(token, "sha256:"); hashed {
		raw, err := hex.DecodeString(digest)
		if err != nil || len(raw) != len(g.digest) {
			return fmt.Errorf("the SHA-256 is not %d hexadecimal digits", 2*len(g.digest))
		}
		copy(g.digest[:], raw)
	} else {
		g.digest = sha256.Sum256([]byte(token))
	}
	for name := range strings.SplitSeq(names, ",") {
		s, known := scopes[name]
		if !known {
			return fmt.Errorf("scope %q, want read, append or admin", name)
		}
		g.scopes |= s
	}
	for _, p := range prefixes {
		raw := []byte(p)
		if coded, ok := strings.CutPrefix(p, "base64:"); ok {
			var err error
			if raw, err = base64.StdEncoding.DecodeString(coded); err != nil {
				return fmt.Errorf("prefix: %w", err)
			}
		}
		g.prefixes = append(g.prefixes, raw)
	}
	return nil
}

// refresh looks at the file if it is time to. One of those who ask does so.
func (t *Tokens) refresh() {
	now, due := t.now().UnixNano(), t.next.Load()
	if now < due || !t.next.CompareAndSwap(due, now+int64(time.Second)) {
		return
	}
	if err := t.load(); err != nil {
		t.logger.Error("server: tokens were not read again, those of before stay", "err", err)
	}
}

var errToken = &apiError{status: http.StatusUnauthorized, code: "unauthenticated", message: "a valid bearer token is needed"}

// grant finds what the request's token may do.
func (t *Tokens) grant(h http.Header) (*grant, error) {
	if t == nil {
		return nil, nil
	}
	t.refresh()
	kind, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") || token == "" {
		return nil, errToken
	}
	if g := t.find(sha256.Sum256([]byte(strings.TrimSpace(token)))); g != nil {
		return g, nil
	}
	return nil, errToken
}

// find compares with every token, and in constant time, so that how long it
// takes tells nothing about any of them.
func (t *Tokens) find(digest [sha256.Size]byte) (found *grant) {
	for _, g := range t.list.Load().grants {
		if subtle.ConstantTimeCompare(digest[:], g.digest[:]) == 1 {
			found = g
		}
	}
	return found
}

// renewed is the grant by the file of now, for requests that last.
func (g *grant) renewed() (*grant, error) {
	if g == nil {
		return nil, nil
	}
	g.tokens.refresh()
	if now := g.tokens.find(g.digest); now != nil {
		return now, nil
	}
	return nil, errToken
}

func denied(message string) error {
	return &apiError{status: http.StatusForbidden, code: "permission_denied", message: message}
}

// any asks for a scope, for whatever keys.
func (g *grant) any(s scope) error {
	if g == nil || g.scopes&s == s {
		return nil
	}
	return denied("the token lacks the scope for this")
}

// whole asks for a scope over all keys.
func (g *grant) whole(s scope) error {
	if err := g.any(s); err != nil || g == nil || len(g.prefixes) == 0 {
		return err
	}
	return denied("the token is for some keys only")
}

// key asks for a scope over one key; prefix, over all keys below a prefix. They
// answer alike whether there is such a key or not.
func (g *grant) key(s scope, key []byte) error {
	if err := g.any(s); err != nil || g == nil || len(g.prefixes) == 0 {
		return err
	}
	for _, p := range g.prefixes {
		if bytes.HasPrefix(key, p) {
			return nil
		}
	}
	return denied("the token is for other keys")
}

func (g *grant) prefix(s scope, prefix []byte) error { return g.key(s, prefix) }

// Require lets requests with a token of scope admin through to h, and all
// requests where there are no tokens.
func (t *Tokens) Require(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, err := t.grant(r.Header)
		if err == nil {
			err = g.whole(mayAdmin)
		}
		if err != nil {
			e := translate(err)
			text(w, e.status, e.message)
			return
		}
		h.ServeHTTP(w, r)
	})
}
