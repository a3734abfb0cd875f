package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/logdb-go/logdb/logdb"
)

const timeFormat = "2006-01-02T15:04:05.000Z"

func showTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// show is bytes for a person's terminal: as they are if they print, else quoted.
func show(b []byte) string {
	s := string(b)
	if len(s) > 0 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }) {
		return s
	}
	return strconv.Quote(s)
}

// text splits bytes into what JSON can say and what it cannot.
func text(b []byte) (plain, b64 *string) {
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(b)
	return nil, &s
}

// printer writes results, in the format that was asked for.
type printer struct {
	w    *bufio.Writer
	json bool
	live bool // every line is flushed
	enc  *json.Encoder
}

func (a *app) printer() *printer {
	p := &printer{w: bufio.NewWriterSize(a.stdout, 64<<10), json: a.json()}
	p.enc = json.NewEncoder(p.w)
	p.enc.SetEscapeHTML(false)
	return p
}

// line prints v as JSON, or the text.
func (p *printer) line(v any, format string, args ...any) error {
	if p.json {
		if err := p.enc.Encode(v); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(p.w, format+"\n", args...); err != nil {
		return err
	}
	if p.live {
		return p.w.Flush()
	}
	return nil
}

// head prints the heads of columns, which JSON has not.
func (p *printer) head(format string, args ...any) error {
	if p.json {
		return nil
	}
	_, err := fmt.Fprintf(p.w, format+"\n", args...)
	return err
}

func (p *printer) flush() error { return p.w.Flush() }

type entryLine struct {
	Sequence uint64  `json:"sequence"`
	Time     string  `json:"time"`
	Key      *string `json:"key,omitempty"`
	KeyB64   *string `json:"key_b64,omitempty"`
	Value    *string `json:"value,omitempty"`
	ValueB64 *string `json:"value_b64,omitempty"`
}

func (p *printer) entryHead() error {
	return p.head("%10s  %-*s  %s", "SEQUENCE", len(timeFormat), "TIME", "VALUE")
}

func (p *printer) entry(e logdb.Entry) error {
	if !p.json {
		return p.line(nil, "%10d  %s  %s", e.Sequence, showTime(e.Time), show(e.Value))
	}
	l := entryLine{Sequence: e.Sequence, Time: showTime(e.Time)}
	l.Key, l.KeyB64 = text(e.Key)
	l.Value, l.ValueB64 = text(e.Value)
	return p.line(l, "")
}

// size is bytes for people.
func size(n float64) string {
	for _, u := range []string{"B", "kB", "MB", "GB"} {
		if n < 1000 || u == "GB" {
			if u == "B" {
				return fmt.Sprintf("%.0f B", n)
			}
			return fmt.Sprintf("%.1f %s", n, u)
		}
		n /= 1000
	}
	return ""
}

// plural is "1 record" or "2 records".
func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// note tells a person something beside the output.
func note(w io.Writer, format string, args ...any) { fmt.Fprintf(w, "logdb: "+format+"\n", args...) }
