package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// keyTemplate makes a record's key of its fields: literals and fields in turn.
type keyTemplate []keyPart

type keyPart struct {
	text  string
	field bool // text names one
}

// parseKeyTemplate reads a field's name, or a template with fields in braces;
// {{ and }} are braces.
func parseKeyTemplate(s string) (keyTemplate, error) {
	if s == "" {
		return nil, badUsage("--key is missing: the field, or a template of fields, that names a record's key")
	}
	if !strings.ContainsAny(s, "{}") {
		return keyTemplate{{s, true}}, nil
	}
	var t keyTemplate
	literal := ""
	for rest := s; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			literal, rest = literal+rest[:1], rest[2:]
		case rest[0] == '}':
			return nil, badUsage("--key %q: a } without its {", s)
		case rest[0] == '{':
			name, after, closed := strings.Cut(rest[1:], "}")
			if !closed || name == "" || strings.Contains(name, "{") {
				return nil, badUsage("--key %q: want a field's name between { and }", s)
			}
			t = append(t, keyPart{literal, false}, keyPart{name, true})
			literal, rest = "", after
		default:
			literal, rest = literal+rest[:1], rest[1:]
		}
	}
	return append(t, keyPart{literal, false}), nil
}

var errNoObject = errors.New("not a JSON object")

// append appends the key of a record.
func (t keyTemplate) append(dst, record []byte) ([]byte, error) {
	if !utf8.Valid(record) {
		return dst, errors.New("not UTF-8")
	}
	if len(record) == 0 || record[0] != '{' {
		if !json.Valid(record) {
			return dst, errors.New("not JSON")
		}
		return dst, errNoObject
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(record, &fields); err != nil {
		return dst, err
	}
	for _, p := range t {
		if !p.field {
			dst = append(dst, p.text...)
			continue
		}
		value, there := fields[p.text]
		if !there {
			return dst, fmt.Errorf("no field %q", p.text)
		}
		var err error
		if dst, err = appendField(dst, value); err != nil {
			return dst, fmt.Errorf("field %q is %w", p.text, err)
		}
	}
	return dst, nil
}

// appendField appends a string's text, or a number or truth value as it stands.
func appendField(dst []byte, value json.RawMessage) ([]byte, error) {
	switch value[0] {
	case '"':
		if inside := value[1 : len(value)-1]; bytes.IndexByte(inside, '\\') < 0 {
			return append(dst, inside...), nil
		}
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return dst, err
		}
		return append(dst, s...), nil
	case 'n':
		return dst, errors.New("null")
	case '{', '[':
		return dst, errors.New("neither text nor a number")
	default:
		return append(dst, value...), nil
	}
}
