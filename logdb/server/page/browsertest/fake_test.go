package browsertest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/logdb-go/logdb/logdb/server/page"
)

// fake serves the page over an API whose answers the test gives, for what a real
// log takes years to come to. routes are patterns of an http.ServeMux.
func fake(t *testing.T, routes map[string]http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	files, err := page.Handlers()
	if err != nil {
		t.Fatal(err)
	}
	for pattern, f := range files {
		mux.HandleFunc(pattern, f)
	}
	for pattern, f := range routes {
		mux.HandleFunc(pattern, f)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

const fakeStatus = `{"status":"success","frontier":"18446744073709551615","applied":"18446744073709551615","local":"18446744073709551615",
"remote":"18446744073709551000","flushed":"9007199254740993","readOnly":false,"version":"","health":"unreachable","sinceMs":1790000000000,"ready":false,
"unshippedRecords":"615","unshippedBytes":"1234567","unshippedMs":"61000","refreshedMs":"0",
"requests":[{"kind":"get","count":"2500000","bytes":"0","dollars":1},{"kind":"put","count":"200000","bytes":"98765","dollars":1}],
"costDollars":2,"startedMs":STARTED}`
