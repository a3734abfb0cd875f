package bench

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/logdb-go/logdb/logdb"
)

// The messages of the HTTP API in protobuf:
//
//	AppendRequest   1 records (1 key, 2 value)   2 await_durable
//	AppendResponse  2 records_appended           3 start_sequence
//	ScanResponse    3 values (1 sequence, 2 value)   4 next_sequence

// encodeAppend writes an AppendRequest.
func encodeAppend(records []logdb.Record, durable bool) []byte {
	size := 2
	for _, r := range records {
		size += len(r.Key) + len(r.Value) + 3*6
	}
	b := make([]byte, 0, size)
	for _, r := range records {
		n := protowire.SizeTag(1) + protowire.SizeBytes(len(r.Key)) + protowire.SizeTag(2) + protowire.SizeBytes(len(r.Value))
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.BytesType), uint64(n))
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), r.Key)
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), r.Value)
	}
	if durable {
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 1)
	}
	return b
}

// fields calls number or data for each field of a message and skips other kinds.
func fields(b []byte, number func(protowire.Number, uint64), data func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("bench: server: answer: %w", protowire.ParseError(n))
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				number(field, v)
			}
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(b); n >= 0 && data != nil {
				if err := data(field, v); err != nil {
					return err
				}
			}
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return fmt.Errorf("bench: server: field %d: %w", field, protowire.ParseError(n))
		}
		b = b[n:]
	}
	return nil
}

// decodeAppended reads an AppendResponse.
func decodeAppended(b []byte) (first, n uint64, err error) {
	err = fields(b, func(field protowire.Number, v uint64) {
		switch field {
		case 2:
			n = v
		case 3:
			first = v
		}
	}, nil)
	return first, n, err
}

// decodeScanned reads a ScanResponse. The values are parts of b.
func decodeScanned(b []byte) (p scanPage, err error) {
	err = fields(b, func(field protowire.Number, v uint64) {
		if field == 4 {
			p.next = v
		}
	}, func(field protowire.Number, message []byte) error {
		if field != 3 {
			return nil
		}
		var e scanned
		defer func() { p.entries = append(p.entries, e) }()
		return fields(message, func(field protowire.Number, v uint64) {
			if field == 1 {
				e.sequence = v
			}
		}, func(field protowire.Number, v []byte) error {
			if field == 2 {
				e.value = v
			}
			return nil
		})
	})
	return p, err
}
