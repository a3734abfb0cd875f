package server

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// params are the query parameters of a request. The first that is wrong is
// remembered; handlers ask once, with failed, before they do anything.
type params struct {
	declared []string
	values   url.Values
	err      error
}

func parseParams(r *http.Request, declared []string) (*params, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("query: " + err.Error())
	}
	return &params{declared: declared, values: values}, nil
}

func (p *params) wrong(name, format string, args ...any) {
	if p.err == nil {
		p.err = invalid(name + ": " + fmt.Sprintf(format, args...))
	}
}

func (p *params) failed() error { return p.err }

// all returns every value of a parameter.
func (p *params) all(name string) []string {
	if !slices.Contains(p.declared, name) {
		p.wrong(name, "not a parameter of this route")
	}
	return p.values[name]
}

// one returns the value of a parameter that may be given once.
func (p *params) one(name string) (string, bool) {
	all := p.all(name)
	if len(all) > 1 {
		p.wrong(name, "given %d times", len(all))
	}
	if len(all) == 0 {
		return "", false
	}
	return all[0], true
}

func (p *params) uint64(name string, absent uint64) (uint64, bool) {
	s, ok := p.one(name)
	if !ok {
		return absent, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		p.wrong(name, "got %q, want a number from 0 to 2^64-1", clip(s))
	}
	return n, true
}

func (p *params) bool(name string) bool {
	s, ok := p.one(name)
	if !ok {
		return false
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		p.wrong(name, "got %q, want true or false", clip(s))
	}
	return b
}

// millis is a duration, at most limit.
func (p *params) millis(name string, absent, limit time.Duration) time.Duration {
	n, ok := p.uint64(name, 0)
	if !ok {
		return min(absent, limit)
	}
	return time.Duration(min(n, uint64(limit/time.Millisecond))) * time.Millisecond
}

// bytes reads bytes given as they are (name) or in base64 (name_b64).
func (p *params) bytes(name string) (b []byte, set bool) {
	plain, isPlain := p.one(name)
	coded, isCoded := p.one(name + "_b64")
	switch {
	case isPlain && isCoded:
		p.wrong(name, "given with %s_b64, want one of them", name)
	case isPlain:
		return []byte(plain), true
	case isCoded:
		return p.decode(name, coded), true
	}
	return nil, false
}

func (p *params) decode(name, s string) []byte {
	b, err := unbase64(s)
	if err != nil {
		p.wrong(name+"_b64", "%v", err)
	}
	if b == nil {
		b = []byte{}
	}
	return b
}

// key is the parameter of routes about one key.
func (p *params) key() []byte {
	key, ok := p.bytes("key")
	if !ok {
		p.wrong("key", "missing")
	}
	if len(key) > logdb.MaxKeyBytes {
		p.wrong("key", "has %d bytes, limit %d", len(key), logdb.MaxKeyBytes)
	}
	return key
}

// keyList is every key that is given, in either spelling.
func (p *params) keyList() [][]byte {
	var keys [][]byte
	for _, s := range p.all("key") {
		keys = append(keys, []byte(s))
	}
	for _, s := range p.all("key_b64") {
		keys = append(keys, p.decode("key", s))
	}
	for _, key := range keys {
		if len(key) > logdb.MaxKeyBytes {
			p.wrong("key", "has %d bytes, limit %d", len(key), logdb.MaxKeyBytes)
		}
	}
	return keys
}

// sequences is the range of start_seq and end_seq.
func (p *params) sequences() logdb.Range { return p.between("start_seq", "end_seq") }

func (p *params) between(start, end string) logdb.Range {
	from, _ := p.uint64(start, 0)
	to, bounded := p.uint64(end, 0)
	if bounded {
		return logdb.Between(from, to)
	}
	return logdb.From(from)
}

// time is RFC 3339, or milliseconds since 1970.
func (p *params) time(name string) time.Time {
	s, ok := p.one(name)
	if !ok {
		return time.Time{}
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.UnixMilli(ms)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		p.wrong(name, "got %q, want RFC 3339 or milliseconds since 1970", clip(s))
	}
	return t
}

// level is a durability: ack or visibility.
func (p *params) level(name string, allowed ...logdb.Durability) logdb.Durability {
	s, ok := p.one(name)
	if !ok {
		return logdb.Default
	}
	l, err := logdb.ParseDurability(s)
	if err != nil || !slices.Contains(allowed, l) {
		var names []string
		for _, a := range allowed {
			names = append(names, a.String())
		}
		p.wrong(name, "got %q, want %s", clip(s), strings.Join(names, ", "))
	}
	return l
}

// u64 checks the parameter that u64AsString reads.
func (p *params) u64() {
	if s, ok := p.one("u64"); ok && s != "string" && s != "number" {
		p.wrong("u64", "got %q, want string or number", clip(s))
	}
}

// u64AsString tells whether the client wants 64-bit numbers of JSON as strings.
func u64AsString(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "u64=string")
}

// clip keeps what a client sent short where it is sent back.
func clip(s string) string { return s[:min(len(s), 64)] }

// unbase64 reads both alphabets, padded or not.
func unbase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}
