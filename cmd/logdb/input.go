package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/logdb-go/logdb/logdb"
)

// maxValueBytes is the largest value: with the largest key it makes the largest
// batch.
const maxValueBytes = maxBatchBytes - logdb.MaxKeyBytes

// A batch is appended when it has this many records or bytes, keys included.
const (
	batchRecords  = 1000
	batchBytes    = 1 << 20
	maxBatchBytes = 16 << 20
)

// input reads the records of one file: JSON lines, or the elements of one JSON
// array, plain or packed. It holds one record at a time.
type input struct {
	r     *bufio.Reader
	array *json.Decoder // nil for lines
	limit *limitedReader
	unit  string // "line" or "element"
	n     int    // of the last record
	line  []byte
	begun bool
	over  bool
}

// malformedError is one record that cannot be loaded; the next one may be.
type malformedError struct {
	unit string
	n    int
	err  error
}

func (e *malformedError) Error() string { return fmt.Sprintf("%s %d: %v", e.unit, e.n, e.err) }
func (e *malformedError) Unwrap() error { return e.err }

func newInput(r io.Reader) (*input, error) {
	plain, err := unpack(bufio.NewReaderSize(r, 1<<16))
	if err != nil {
		return nil, err
	}
	return &input{r: plain, unit: "line"}, nil
}

// unpack looks at the magic.
func unpack(r *bufio.Reader) (*bufio.Reader, error) {
	magic, _ := r.Peek(4) // a shorter input is no archive
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		return bufio.NewReaderSize(z, 1<<16), nil
	case bytes.Equal(magic, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return bufio.NewReaderSize(z, 1<<16), nil
	}
	return r, nil
}

// next returns the next record, valid until the call after it. Its errors are
// io.EOF, *malformedError, after which next may be called again, or what ends
// the input.
func (in *input) next() ([]byte, error) {
	if in.over {
		return nil, io.EOF
	}
	if !in.begun {
		in.begun = true
		if err := in.begin(); err != nil {
			in.over = true
			return nil, err
		}
	}
	if in.array != nil {
		return in.nextElement()
	}
	return in.nextLine()
}

// begin skips what may stand before the first record, and sees what kind of
// input this is.
func (in *input) begin() error {
	if bom, _ := in.r.Peek(3); string(bom) == "\ufeff" {
		_, _ = in.r.Discard(3)
	}
	for {
		c, err := in.r.ReadByte()
		switch {
		case err != nil:
			return err
		case c == '\n':
			in.n++
			continue
		case c == ' ' || c == '\t' || c == '\r':
			continue
		}
		_ = in.r.UnreadByte()
		if c == '[' {
			in.unit, in.n = "element", 0
			in.limit = &limitedReader{r: in.r, left: maxValueBytes}
			in.array = json.NewDecoder(in.limit)
			_, err = in.array.Token()
		}
		return err
	}
}

// nextElement returns the next element of the array. Behind a mistake in an
// array nobody can tell where the next element begins.
func (in *input) nextElement() ([]byte, error) {
	in.limit.left = maxValueBytes + 1<<16
	if in.array.More() {
		in.n++
		var raw json.RawMessage
		if err := in.array.Decode(&raw); err != nil {
			in.over = true
			return nil, in.rest(err)
		}
		return raw, nil
	}
	in.over = true
	if _, err := in.array.Token(); err != nil {
		in.n++
		return nil, in.rest(err)
	}
	behind := bufio.NewReader(io.MultiReader(in.array.Buffered(), in.r))
	for {
		c, err := behind.ReadByte()
		if err == io.EOF {
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			in.n++
			return nil, in.rest(errors.New("more than white space behind the array"))
		}
	}
}

// rest reports a mistake that makes the rest of an array unreadable.
func (in *input) rest(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s %d: the input ends inside the array", in.unit, in.n)
	}
	return fmt.Errorf("%s %d: %w; what follows was not read", in.unit, in.n, err)
}

// nextLine returns the next line that is not empty, without white space around
// it.
func (in *input) nextLine() ([]byte, error) {
	for {
		in.n++
		line, err := in.readLine()
		if err == io.EOF && len(line) > 0 {
			in.over, err = true, nil
		}
		if err != nil {
			return nil, err
		}
		if line = bytes.Trim(line, " \t\r\n"); len(line) > 0 {
			return line, nil
		}
		if in.over {
			return nil, io.EOF
		}
	}
}

// readLine reads to the end of the line, however long it is, and keeps no more
// than a record can have.
func (in *input) readLine() ([]byte, error) {
	in.line = in.line[:0]
	tooLong := false
	for {
		piece, err := in.r.ReadSlice('\n')
		if len(in.line)+len(piece) <= maxValueBytes+2 {
			in.line = append(in.line, piece...)
		} else {
			tooLong = true
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if tooLong && (err == nil || err == io.EOF) {
			in.over = err == io.EOF
			return nil, &malformedError{in.unit, in.n, fmt.Errorf("longer than %d bytes", maxValueBytes)}
		}
		return in.line, err
	}
}

// limitedReader ends an element that is too large for a record before it is
// in memory.
type limitedReader struct {
	r    io.Reader
	left int
}

var errTooLarge = fmt.Errorf("larger than %d bytes", maxValueBytes)

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLarge
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
