package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// document is openapi.yaml, and follows its references.
type document struct {
	t    *testing.T
	root map[string]any
}

func openDocument(t *testing.T) *document {
	d := &document{t: t}
	if err := yaml.Unmarshal(OpenAPI, &d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// at walks from a node along a path, through references.
func (d *document) at(node any, path ...string) any {
	d.t.Helper()
	m, ok := node.(map[string]any)
	if !ok {
		return nil
	}
	if ref, ok := m["$ref"].(string); ok {
		return d.at(d.at(d.root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), path...)
	}
	if len(path) == 0 {
		return m
	}
	if len(path) == 1 {
		if next, ok := m[path[0]].(map[string]any); ok {
			return d.at(next)
		}
		return m[path[0]]
	}
	return d.at(m[path[0]], path[1:]...)
}

// Routes and parameters of the description are those of the handlers, and the
// other way round.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	d, f := openDocument(t), newBench(t, Options{})
	have := map[string]bool{}
	for _, r := range f.s.api() {
		have[r.path] = true
		op := d.at(d.root, "paths", r.path, strings.ToLower(r.method))
		if op == nil {
			t.Errorf("%s %s is not described", r.method, r.path)
			continue
		}
		var names []string
		for _, p := range d.at(op, "parameters").([]any) {
			if d.at(p, "in") == "query" {
				names = append(names, d.at(p, "name").(string))
			}
		}
		slices.Sort(names)
		if want := slices.Sorted(slices.Values(r.params)); !slices.Equal(names, want) {
			t.Errorf("%s describes the parameters %v, the handler knows %v", r.path, names, want)
		}
		if d.at(op, "operationId") != r.name {
			t.Errorf("%s has the id %v, want %s", r.path, d.at(op, "operationId"), r.name)
		}
	}
	for path := range d.at(d.root, "paths").(map[string]any) {
		if !have[path] {
			t.Errorf("%s is described and not served", path)
		}
	}
}

// The schemas are the messages of the proto, by their JSON names.
func TestOpenAPIHasTheMessages(t *testing.T) {
	d := openDocument(t)
	messages := logpb.File_log_proto.Messages()
	for name := range d.at(d.root, "components", "schemas").(map[string]any) {
		m := messages.ByName(protoreflect.Name(strings.Replace(name, "FollowEntry", "Entry", 1)))
		if name == "U64" || name == "Bytes" || name == "Millis" {
			continue
		}
		if m == nil {
			t.Errorf("schema %s is no message", name)
			continue
		}
		properties := d.at(d.root, "components", "schemas", name, "properties").(map[string]any)
		fields := map[string]string{}
		for i := range m.Fields().Len() {
			fl := m.Fields().Get(i)
			fields[fl.JSONName()] = schemaOf(fl)
		}
		for field, want := range fields {
			if got := kindOf(d, properties[field]); got != want {
				t.Errorf("%s.%s is %s in the description, %s in the proto", name, field, got, want)
			}
		}
		for field := range properties {
			if fields[field] == "" {
				t.Errorf("%s.%s is not in the proto", name, field)
			}
		}
	}
}

func schemaOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsList():
		return "array"
	case f.JSONName() == "timeoutMs": // of a request, where a number will do
		return "integer"
	}
	switch f.Kind() {
	case protoreflect.Uint64Kind:
		return "[integer string]"
	case protoreflect.Int64Kind, protoreflect.Int32Kind:
		return "integer"
	case protoreflect.BoolKind:
		return "boolean"
	case protoreflect.DoubleKind:
		return "number"
	}
	return "string"
}

func kindOf(d *document, schema any) string {
	if d.at(schema, "const") != nil {
		return "string"
	}
	return fmt.Sprint(d.at(schema, "type"))
}

// What is answered matches the schema that the description gives for it.
func TestAnswersMatchTheirSchemas(t *testing.T) {
	d, f := openDocument(t), newBench(t, Options{})
	f.appended("k", "v", "other", "w")
	if _, _, err := f.db.SealSegment(t.Context(), []byte("meta")); err != nil {
		t.Fatal(err)
	}
	f.appended("k", "x")
	for _, u64 := range []string{"", "&u64=string"} {
		for path, schema := range map[string]string{
			"scan?key=k": "ScanResponse", "scan?key=cold&reverse=true": "ScanResponse", "keys?limit=1": "KeysResponse", "keys?prefix=": "KeysResponse",
			"segments?a=b": "SegmentsResponse", "count?key=k": "CountResponse", "status?a=b": "StatusResponse",
		} {
			_, body, _ := f.do("GET", "/api/v1/log/"+path+u64, "")
			d.check(path+u64, body, schema)
		}
		_, body, _ := f.do("POST", "/api/v1/log/append?ack=remote"+u64, jsonBatch(false, "k", "v"))
		d.check("append", body, "AppendResponse")
		for _, path := range []string{"scan?key=k&limit=x", "scan?key=k&min_seq=99&timeout_ms=1", "none?a=b"} {
			_, body, _ = f.do("GET", "/api/v1/log/"+path+u64, "")
			d.check(path+u64, body, "ErrorResponse")
		}
	}
}

func (d *document) check(what string, body []byte, schema string) {
	d.t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		d.t.Fatalf("%s: %v in %s", what, err, body)
	}
	d.valid(what, v, d.at(d.root, "components", "schemas", schema))
}

// valid checks a value against the part of JSON Schema that the file uses. What
// is not described is wrong.
func (d *document) valid(what string, v, schema any) {
	d.t.Helper()
	s := d.at(schema).(map[string]any)
	if c, ok := s["const"]; ok && v != c {
		d.t.Errorf("%s is %v, want %v", what, v, c)
	}
	if one, ok := s["enum"].([]any); ok && !slices.Contains(one, v) {
		d.t.Errorf("%s is %v, want one of %v", what, v, one)
	}
	kind := map[string]string{"float64": "integer", "string": "string", "bool": "boolean", "[]interface {}": "array", "map[string]interface {}": "object"}[fmt.Sprintf("%T", v)]
	if s["type"] == "number" && kind == "integer" { // JSON has one kind of numbers
		kind = "number"
	}
	if want := fmt.Sprint(s["type"]); s["type"] != nil && !slices.Contains(strings.Fields(strings.Trim(want, "[]")), kind) {
		d.t.Errorf("%s is %v, want %s", what, v, want)
	}
	switch x := v.(type) {
	case string:
		if _, err := base64.StdEncoding.DecodeString(x); s["contentEncoding"] == "base64" && err != nil {
			d.t.Errorf("%s is %q: %v", what, x, err)
		}
	case []any:
		for i, y := range x {
			d.valid(fmt.Sprintf("%s[%d]", what, i), y, s["items"])
		}
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(x)) {
			if properties[name] == nil {
				d.t.Errorf("%s has %s, which is not described", what, name)
				continue
			}
			d.valid(what+"."+name, x[name], properties[name])
		}
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, ok := x[name.(string)]; !ok {
				d.t.Errorf("%s lacks %v", what, name)
			}
		}
	}
}

func TestDocumentsAreServed(t *testing.T) {
	f := newBench(t, Options{})
	if status, body, h := f.do("GET", "/api/v1/openapi.yaml", ""); status != 200 || string(body) != string(OpenAPI) || h.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %d %v", status, h)
	}
	if status, body, _ := f.do("GET", "/api/v1/log.proto", ""); status != 200 || string(body) != string(logpb.Source) {
		t.Errorf("got %d", status)
	}
}
