package objstoretest

import (
	"fmt"
	"sync"

	"github.com/logdb-go/logdb/objstore"
)

// Kind is the kind of a request.
type Kind string

// The kinds of requests: the methods of objstore.Bucket.
const (
	Get          Kind = "get"
	GetIfChanged Kind = "get_if_changed"
	GetRange     Kind = "get_range"
	List         Kind = "list"
	Put          Kind = "put"
	Delete       Kind = "delete"
	// Head is a HEAD request, which no method of objstore.Bucket sends but other clients do. Any other request that
	// Transport meets has its method, in lower case, for a kind.
	Head Kind = "head"
)

// Op is one request.
type Op struct {
	Kind Kind
	// Name of the object; of a List its prefix.
	Name string
	// Attempt counts the requests of this kind for this name, from 1.
	Attempt int
	// Offset and Length are the range of a GetRange.
	Offset, Length int64
	// Data is the body of a Put. It is the caller's slice: read it during the call only. Requests leaves it nil.
	Data []byte
	// Condition of a Put.
	Condition objstore.Condition
	// Size is the number of bytes put or returned, of a List the number of names. Set when the request is over.
	Size int64
	// Err is what the request returned. Set when the request is over.
	Err error
}

// String is one line: kind, name, condition or range, size, outcome.
func (op Op) String() string {
	s := fmt.Sprintf("%s %s", op.Kind, op.Name)
	switch op.Kind {
	case Put:
		s += " " + op.Condition.String()
	case GetRange:
		s += fmt.Sprintf(" [%d,%d)", op.Offset, op.Offset+op.Length)
	}
	return fmt.Sprintf("%s %d %s", s, op.Size, outcome(op.Err))
}

// attempts numbers requests by kind and name.
type attempts struct {
	mu   sync.Mutex
	seen map[[2]string]int
}

func (a *attempts) next(kind Kind, name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[[2]string]int{}
	}
	key := [2]string{string(kind), name}
	a.seen[key]++
	return a.seen[key]
}
