package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// batch is an AppendRequest. Its records refer to the body.
type batch struct {
	records []logdb.Record
	durable bool
	ack     logdb.Durability
	timeout time.Duration
	timed   bool
}

// recordBytes is what a decoded record takes beyond its bytes in the body.
const recordBytes = 48

// decode makes the batch of the body.
func (b *body) decode(protobuf bool) error {
	if protobuf {
		if err := b.decodeProto(b.bytes); err != nil {
			return describe("Invalid protobuf", err)
		}
		return nil
	}
	return b.decodeJSON()
}

// describe makes a client's error of one of decoding; others stay.
func describe(what string, err error) error {
	var api *apiError
	if errors.As(err, &api) {
		return err
	}
	return invalid(what + ": " + err.Error())
}

// decodeProto reads the message by hand, so that a record costs no allocation.
func (b *body) decodeProto(in []byte) error {
	for len(in) > 0 {
		number, kind, n := protowire.ConsumeTag(in)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if number > protowire.MaxValidNumber {
			return fmt.Errorf("field %d", number)
		}
		in = in[n:]
		switch {
		case number == 1 && kind == protowire.BytesType:
			var record []byte
			if record, n = protowire.ConsumeBytes(in); n >= 0 {
				if err := b.decodeRecord(record); err != nil {
					return err
				}
			}
		case (number == 2 || number == 16 || number == 17) && kind == protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(in); n >= 0 {
				if err := b.batch.set(number, v); err != nil {
					return err
				}
			}
		case number == 1 || number == 2 || number == 16 || number == 17:
			return fmt.Errorf("field %d has wire type %d", number, kind)
		default:
			n = protowire.ConsumeFieldValue(number, kind, in)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		in = in[n:]
	}
	return nil
}

func (b *batch) set(number protowire.Number, v uint64) (err error) {
	switch number {
	case 2:
		b.durable = v != 0
	case 16:
		b.ack, err = durability(logpb.Durability(v))
	case 17:
		b.timed, b.timeout = true, time.Duration(min(v, uint64(24*time.Hour/time.Millisecond)))*time.Millisecond
	}
	return err
}

// durability is a level of the proto as the library has it.
func durability(d logpb.Durability) (logdb.Durability, error) {
	switch d {
	case logpb.Durability_DURABILITY_DEFAULT:
		return logdb.Default, nil
	case logpb.Durability_DURABILITY_APPLIED:
		return logdb.Applied, nil
	case logpb.Durability_DURABILITY_LOCAL:
		return logdb.Local, nil
	case logpb.Durability_DURABILITY_REMOTE:
		return logdb.Remote, nil
	}
	return 0, invalid(fmt.Sprintf("durability %d is not known", int32(d)))
}

func (b *body) decodeRecord(in []byte) error {
	var key, value []byte
	for len(in) > 0 {
		number, kind, n := protowire.ConsumeTag(in)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if number > protowire.MaxValidNumber {
			return fmt.Errorf("field %d", number)
		}
		in = in[n:]
		switch {
		case number <= 2 && kind == protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(in); number == 1 {
				key = v
			} else {
				value = v
			}
		case number <= 2:
			return fmt.Errorf("field %d of a record has wire type %d", number, kind)
		default:
			n = protowire.ConsumeFieldValue(number, kind, in)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		in = in[n:]
	}
	return b.add(key, value)
}

// add takes a record; one without a key or a value is refused, an empty one is
// not.
func (b *body) add(key, value []byte) error {
	i := len(b.batch.records)
	switch {
	case key == nil:
		return invalid(fmt.Sprintf("record[%d]: key is required", i))
	case value == nil:
		return invalid(fmt.Sprintf("record[%d]: value is required", i))
	}
	if i == cap(b.batch.records) {
		more := max(i, 64)
		if err := b.hold(int64(more) * recordBytes); err != nil {
			return err
		}
		grown := make([]logdb.Record, i, i+more)
		copy(grown, b.batch.records)
		b.batch.records = grown
	}
	b.batch.records = append(b.batch.records, logdb.Record{Key: key, Value: value})
	return nil
}

// appendJSONBody is the JSON of an AppendRequest.
type appendJSONBody struct {
	Records *[]struct {
		Key   []byte `json:"key"`
		Value []byte `json:"value"`
	} `json:"records"`
	AwaitDurable bool         `json:"awaitDurable"`
	Ack          string       `json:"ack"`
	TimeoutMs    *json.Number `json:"timeoutMs"`
}

func (b *body) decodeJSON() error {
	if plain, err := b.decodePlain(); plain || err != nil {
		return err
	}
	return b.decodeAnyJSON()
}

// decodeAnyJSON takes what encoding/json takes.
func (b *body) decodeAnyJSON() error {
	var m appendJSONBody
	if err := b.hold(2 * int64(len(b.bytes))); err != nil { // the decoded values, and the records
		return err
	}
	if err := json.Unmarshal(b.bytes, &m); err != nil {
		return invalid("Invalid JSON: " + err.Error())
	}
	if m.Records == nil {
		return invalid("Invalid JSON: missing field `records`")
	}
	for _, r := range *m.Records {
		if err := b.add(r.Key, r.Value); err != nil {
			return err
		}
	}
	b.batch.durable = m.AwaitDurable
	if m.TimeoutMs != nil {
		ms, err := m.TimeoutMs.Int64()
		if err != nil || ms < 0 {
			return invalid("Invalid JSON: timeoutMs: want milliseconds")
		}
		_ = b.batch.set(17, uint64(ms))
	}
	return b.batch.setAck(m.Ack)
}

// setAck sets the level that JSON names.
func (b *batch) setAck(name string) (err error) {
	if name == "" {
		return nil
	}
	if b.ack, err = logdb.ParseDurability(strings.ToLower(strings.TrimPrefix(name, "DURABILITY_"))); err != nil {
		return invalid("Invalid JSON: ack: want applied, local or remote")
	}
	return nil
}
