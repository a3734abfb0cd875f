package server

import (
	"encoding/json"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// The page and everything that it loads is served to who has no token, with a
// policy that lets nothing else run, and is not sent twice.
func TestPageIsServed(t *testing.T) {
	tk, _ := tokens(t, "boss b-secret read,append,admin\n")
	f := newBench(t, Options{Tokens: tk})
	loaded := map[string]bool{}
	reference := regexp.MustCompile(`(?:href|src)="(assets/[^"]+)"|from '\./([^']+)'`)
	for queue := []string{""}; len(queue) > 0; queue = queue[1:] {
		path := queue[0]
		if loaded[path] {
			continue
		}
		loaded[path] = true
		status, body, h := f.do("GET", "/"+path, "")
		if status != http.StatusOK {
			t.Errorf("/%s: %d", path, status)
			continue
		}
		policy := h.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("/%s: %v", path, h)
		}
		if status, again, _ := f.do("GET", "/"+path, "", "If-None-Match", h.Get("ETag")); status != http.StatusNotModified || len(again) > 0 {
			t.Errorf("/%s again: %d, want 304", path, status)
		}
		for _, m := range reference.FindAllSubmatch(body, -1) {
			next := string(m[1])
			if next == "" {
				next = "assets/" + string(m[2])
			}
			queue = append(queue, next)
		}
	}
	if !loaded["assets/style.css"] || !loaded["assets/stream.js"] {
		t.Errorf("loaded %v, want also what modules import", loaded)
	}
}

// The page stands in nobody's way: what is no page and no route is what it was.
func TestPageShadowsNothing(t *testing.T) {
	f := newBench(t, Options{})
	for request, want := range map[string]int{
		"GET /api/v1/log/none": 404, "GET /assets/": 404, "GET /assets/page.go": 404, "GET /index.html": 404, "GET /assets/../server.go": 404,
		"GET /healthz": 200, "GET /-/ready": 200, "GET /api/v1/log/keys": 200, "HEAD /": 200, "POST /": 405,
	} {
		method, path, _ := strings.Cut(request, " ")
		if status, body, _ := f.do(method, path, ""); status != want {
			t.Errorf("%s: %d %s, want %d", request, status, body, want)
		}
	}
	f.json(404, "GET", "/api/v1/log/none", "")
}

// The parts of the bill come to the whole.
func TestStatusHasTheBill(t *testing.T) {
	m := NewMetrics()
	m.Price(func(n map[string]uint64) float64 {
		return float64(n["put"]+n["list"])*0.005/1000 + float64(n["get"]+n["get_range"])*0.0004/1000
	})
	f := newBench(t, Options{Meter: m})
	f.appended("k", "v")
	f.flushed()
	o, sum := f.get("status"), 0.0
	number := func(x any) float64 {
		v, err := x.(json.Number).Float64()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, kind := range o.list(t, "requests") {
		dollars := number(kind["dollars"])
		if free := kind["kind"] == "delete" || number(kind["count"]) == 0; free != (dollars == 0) {
			t.Errorf("%v", kind)
		}
		sum += dollars
	}
	if total := number(o["costDollars"]); total == 0 || math.Abs(sum-total) > total/1e9 {
		t.Errorf("the parts cost %v, the whole %v", sum, total)
	}
}
