package server

import (
	"bytes"
	"encoding/base64"
)

// decodePlain reads the JSON that programs write: every field at most once and
// by its exact name, no escapes, no nulls. It reports false, and has touched no
// byte of the body, for everything else, which may be JSON all the same: that is
// encoding/json's to say. Values are decoded where they lie in the body, so that
// a record costs no allocation and the body is read only twice.
func (b *body) decodePlain() (plain bool, err error) {
	if !b.scanPlain() {
		clear(b.batch.records)
		b.batch = batch{records: b.batch.records[:0]}
		return false, nil
	}
	for i := range b.batch.records {
		r := &b.batch.records[i]
		for _, text := range []*[]byte{&r.Key, &r.Value} {
			n, err := base64.StdEncoding.Decode(*text, *text) // what it writes is shorter than what it has read
			if err != nil {
				return true, invalid("Invalid JSON: " + err.Error())
			}
			*text = (*text)[:n]
		}
	}
	return true, nil
}

// scanPlain finds the fields. Keys and values of the records are still base64. It
// leaves mistakes to encoding/json, which tells of the first one.
func (b *body) scanPlain() bool {
	var records, durable, ack bool
	p := plainText{b.bytes}
	for open := byte('{'); p.take(open); open = ',' {
		name, ok := p.name()
		switch {
		case !ok:
			return false
		case string(name) == "records" && !records:
			records = true
			ok = b.plainRecords(&p)
		case string(name) == "awaitDurable" && !durable:
			durable = true
			b.batch.durable, ok = p.boolean()
		case string(name) == "ack" && !ack:
			ack = true
			var level []byte
			level, ok = p.text()
			ok = ok && b.batch.setAck(string(level)) == nil
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	if !records || !p.take('}') {
		return false
	}
	p.space()
	return len(p.rest) == 0
}

// plainRecords takes the array of records.
func (b *body) plainRecords(p *plainText) bool {
	if !p.take('[') {
		return false
	}
	if p.take(']') {
		return true
	}
	for {
		key, value, ok := p.record()
		if !ok || b.add(key, value) != nil {
			return false
		}
		if !p.take(',') {
			return p.take(']')
		}
	}
}

// plainText is what is left of JSON.
type plainText struct{ rest []byte }

// space skips white space.
func (p *plainText) space() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\n' || p.rest[0] == '\t' || p.rest[0] == '\r') {
		p.rest = p.rest[1:]
	}
}

// take skips one character, and white space before it.
func (p *plainText) take(c byte) bool {
	if p.space(); len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// text takes a string that has no escapes. Other control characters than those
// looked for here are in no base64.
func (p *plainText) text() (text []byte, ok bool) {
	if !p.take('"') {
		return nil, false
	}
	n := bytes.IndexByte(p.rest, '"')
	if n < 0 {
		return nil, false
	}
	text, p.rest = p.rest[:n:n], p.rest[n+1:]
	return text, bytes.IndexByte(text, '\\') < 0 && bytes.IndexByte(text, '\n') < 0 && bytes.IndexByte(text, '\r') < 0
}

// name takes the name of a field.
func (p *plainText) name() (name []byte, ok bool) {
	name, ok = p.text()
	return name, ok && p.take(':')
}

// boolean takes true or false.
func (p *plainText) boolean() (v, ok bool) {
	p.space()
	for _, word := range []string{"true", "false"} {
		if rest, found := bytes.CutPrefix(p.rest, []byte(word)); found {
			p.rest = rest
			return word == "true", true
		}
	}
	return false, false
}

// record takes an object of a key and a value, in any order.
func (p *plainText) record() (key, value []byte, ok bool) {
	for open := byte('{'); p.take(open); open = ',' {
		name, ok := p.name()
		if !ok {
			return nil, nil, false
		}
		switch {
		case string(name) == "key" && key == nil:
			key, ok = p.text()
		case string(name) == "value" && value == nil:
			value, ok = p.text()
		default:
			ok = false
		}
		if !ok {
			return nil, nil, false
		}
	}
	return key, value, key != nil && value != nil && p.take('}')
}
