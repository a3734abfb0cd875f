package objstoretest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/logdb-go/logdb/objstore"
)

// op says what an HTTP request asks of the bucket. Data is left out: the body belongs to the request.
func (t *Transport) op(r *http.Request) Op {
	query := r.URL.Query()
	if r.Method == http.MethodGet && (query.Has("list-type") || !t.below(r)) {
		return Op{Kind: List, Name: t.name(strings.TrimSuffix(r.URL.Path, "/") + "/" + query.Get("prefix"))}
	}
	op := Op{Kind: kindOf(r), Name: t.name(r.URL.Path)}
	switch op.Kind {
	case GetRange:
		var last int64
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &op.Offset, &last); n == 2 {
			op.Length = last - op.Offset + 1
		}
	case Put:
		op.Condition = conditionOf(r)
	}
	return op
}

// name is an object's name as the plan has it.
func (t *Transport) name(path string) string { return strings.TrimPrefix(path, t.root) }

// below reports whether the request names an object, and not the bucket itself.
func (t *Transport) below(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, t.root) && len(r.URL.Path) > len(t.root)
}

func kindOf(r *http.Request) Kind {
	switch r.Method {
	case http.MethodPut:
		return Put
	case http.MethodDelete:
		return Delete
	case http.MethodHead:
		return Head
	case http.MethodGet:
		if r.Header.Get("Range") != "" {
			return GetRange
		}
		if r.Header.Get("If-None-Match") != "" {
			return GetIfChanged
		}
		return Get
	default:
		return Kind(strings.ToLower(r.Method))
	}
}

func conditionOf(r *http.Request) objstore.Condition {
	if r.Header.Get("If-None-Match") == "*" {
		return objstore.IfAbsent()
	}
	if etag := r.Header.Get("If-Match"); etag != "" {
		return objstore.IfMatch(etag)
	}
	return objstore.Always()
}
