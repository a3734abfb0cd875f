package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll reads an input to its end: records as they stood, mistakes in
// brackets.
func readAll(t *testing.T, r io.Reader) (out []string) {
	t.Helper()
	in, err := newInput(r)
	if err != nil {
		return []string{"<" + err.Error() + ">"}
	}
	for {
		record, err := in.next()
		var malformed *malformedError
		switch {
		case err == io.EOF:
			return out
		case errors.As(err, &malformed):
			out = append(out, "<"+err.Error()+">")
		case err != nil:
			return append(out, "<"+err.Error()+">")
		default:
			out = append(out, string(record))
		}
	}
}

func TestInputs(t *testing.T) {
	for _, x := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\n \n\t\n", nil},
		{"{}", []string{"{}"}},
		{"\ufeff{}\n{\"a\":1}\r\n", []string{"{}", `{"a":1}`}},
		{"[]", nil},
		{" \n[ {} , {\"a\":[1, 2]} ]\n\n", []string{"{}", `{"a":[1, 2]}`}},
		{"[{}", []string{"{}", "<element 2: the input ends inside the array>"}},
		{"[{},", []string{"{}", "<element 2: the input ends inside the array>"}},
		{"[{}] {}", []string{"{}", "<element 2: more than white space behind the array; what follows was not read>"}},
		{"\x1f\x8b", []string{"<unexpected EOF>"}},
	} {
		for _, r := range []io.Reader{strings.NewReader(x.in), iotest.OneByteReader(strings.NewReader(x.in))} {
			if got := readAll(t, r); fmt.Sprint(got) != fmt.Sprint(x.want) {
				t.Errorf("%q: got %q, want %q", x.in, got, x.want)
			}
		}
	}
}

// A line, or an element, beyond all limits is never in memory, and what
// follows a line is read.
func TestInputsOfAnySize(t *testing.T) {
	huge := func() io.Reader { return io.LimitReader(endless{}, 3*maxValueBytes) }
	got := readAll(t, io.MultiReader(strings.NewReader("{}\n"), huge(), strings.NewReader("\n{\"a\":1}")))
	if len(got) != 3 || !strings.HasPrefix(got[1], "<line 2: longer than") || got[2] != `{"a":1}` {
		t.Errorf("got %d records, the second %.60q", len(got), got[1:2])
	}
	got = readAll(t, io.MultiReader(strings.NewReader(`[{},"`), huge(), strings.NewReader(`"]`)))
	if len(got) != 2 || !strings.HasPrefix(got[1], "<element 2: larger than") {
		t.Errorf("got %d records, the second %.60q", len(got), got[1:])
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestKeyTemplates(t *testing.T) {
	record := []byte(`{"s":"a\u00e9","n":1.50,"t":true,"z":null,"o":{},"":"empty name"}`)
	for _, x := range []struct{ template, want string }{
		{"s", "aé"},
		{"n", "1.50"},
		{"t", "true"},
		{"{s}", "aé"},
		{"{s}/{n}-{s}", "aé/1.50-aé"},
		{"{{{n}}}", "{1.50}"},
		{"z", `field "z" is null`},
		{"o", `field "o" is neither text nor a number`},
		{"x", `no field "x"`},
	} {
		template, err := parseKeyTemplate(x.template)
		if err != nil {
			t.Fatal(err)
		}
		key, err := template.append(nil, record)
		got := string(key)
		if err != nil {
			got = err.Error()
		}
		if got != x.want {
			t.Errorf("%s: got %q, want %q", x.template, got, x.want)
		}
	}
	for _, bad := range []string{"", "{", "}", "{}", "{a", "a}", "{a{b}}", "{{a}"} {
		var usage *usageError
		if _, err := parseKeyTemplate(bad); !errors.As(err, &usage) {
			t.Errorf("%q: got %v, want a usage error", bad, err)
		}
	}
	for record, want := range map[string]string{"{\"s\":\"\xff\"}": "not UTF-8", "[1]": "not a JSON object", "nope": "not JSON", "{\"s\":1} x": "invalid character"} {
		template, _ := parseKeyTemplate("s")
		if _, err := template.append(nil, []byte(record)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", record, err, want)
		}
	}
}

// Whatever the input, every record is loaded as it stood or reported.
func FuzzInput(f *testing.F) {
	for _, s := range []string{"{}\n{}", "[{},{}]", "\ufeff[", "[[]]x", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd\x00"} {
		f.Add([]byte(s))
	}
	template, _ := parseKeyTemplate("{a}{b}")
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := newInput(bytes.NewReader(b))
		if err != nil {
			return
		}
		for range len(b) + 2 {
			record, err := in.next()
			var malformed *malformedError
			if err != nil && !errors.As(err, &malformed) {
				return
			}
			_, _ = template.append(nil, record)
		}
		if !bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")) && !bytes.HasPrefix(b, []byte("\x1f\x8b")) {
			t.Errorf("%q has more records than bytes", b)
		}
	})
}
