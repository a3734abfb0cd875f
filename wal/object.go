package wal

import (
	"errors"
	"iter"

	"github.com/logdb-go/logdb/objstore"
)

// ObjectKind says what a WAL object holds.
type ObjectKind uint8

const (
	// Data holds frames.
	Data ObjectKind = 1
	// Tables names tables that hold the records of [Start, End).
	Tables ObjectKind = 2
	// Fence ends an epoch's numbers.
	Fence ObjectKind = 3
)

// Position names a WAL object.
type Position struct{ Epoch, Number uint64 }

func (p Position) String() string       { return "" }
func (p Position) Less(q Position) bool { return false }

// ObjectHeader is what a WAL object says about itself.
type ObjectHeader struct {
	Kind            ObjectKind
	Log             objstore.ID
	At              Position
	Nonce           objstore.ID
	Start, End      uint64
	MinMs, MaxMs    int64
	ManifestVersion uint64
	Next            Position
}

// Object is a decoded WAL object.
type Object struct {
	ObjectHeader
	Body []byte
	Size int
}

var errTodo = errors.New("wal: not written yet")

func ObjectName(epoch, number uint64) string                         { return "" }
func ParseObjectName(name string) (epoch, number uint64, ok bool)    { return 0, 0, false }
func EncodeData(h ObjectHeader, frames []Frame) []byte               { return nil }
func EncodeTables(h ObjectHeader, payload []byte) []byte             { return nil }
func EncodeFence(h ObjectHeader) []byte                              { return nil }
func DecodeObject(name string, b []byte) (Object, error)             { return Object{}, errTodo }
func DecodeObjectHeader(name string, b []byte) (ObjectHeader, error) { return ObjectHeader{}, errTodo }
func (o Object) Frames() iter.Seq2[Frame, error]                     { return func(func(Frame, error) bool) {} }
