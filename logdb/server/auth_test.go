package server

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tokens writes a file of tokens and reads it with a clock that can be set.
func tokens(t *testing.T, content string) (*Tokens, func(content string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(content)
	tk, err := OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tk, func(content string) {
		write(content)
		tk.next.Store(0) // a second has gone by
	}
}

func TestScopesAndPrefixes(t *testing.T) {
	tk, _ := tokens(t, fmt.Sprintf(`
# name   token          scopes           prefixes
reader   r-secret       read
writer   sha256:%x append # a hash in place of the token
tenant   t-secret       read,append      t/7/ base64:/w==
boss     b-secret       read,append,admin
`, sha256.Sum256([]byte("w-secret"))))
	f := newBench(t, Options{Tokens: tk})
	f.appended("t/7/a", "v", "t/8/b", "v")
	put := func(key string) [3]string { return [3]string{"POST", "append", jsonBatch(false, key, "v")} }
	get := func(path string) [3]string { return [3]string{"GET", path, ""} }
	for _, c := range []struct {
		request [3]string
		want    string // statuses without a token, with a wrong one, reader, writer, tenant, boss
	}{
		{get("scan?key=t/7/a"), "401 401 200 403 200 200"},
		{get("scan?key=t/8/b"), "401 401 200 403 403 200"},
		{get("scan?key=t/8/none"), "401 401 200 403 403 200"}, // as if it were there
		{get("scan?key_b64=/3g="), "401 401 200 403 200 200"},
		{get("count?key=t/8/b"), "401 401 200 403 403 200"},
		{get("keys"), "401 401 200 403 403 200"},
		{get("keys?prefix=t/7/"), "401 401 200 403 200 200"},
		{get("keys?prefix=t/"), "401 401 200 403 403 200"},
		{get("segments"), "401 401 200 403 403 200"},
		{get("status"), "401 401 200 403 200 200"},
		{put("t/7/x"), "401 401 403 200 200 200"},
		{put("t/8/x"), "401 401 403 200 403 200"},
		{get("follow?prefix=t/8/&start_seq=x"), "400 400 400 400 400 400"},
		{get("../openapi.yaml"), "200 200 200 200 200 200"},
	} {
		var got []string
		for _, token := range []string{"", "Bearer wrong", "bearer r-secret", "Bearer w-secret", "Bearer t-secret", "Bearer b-secret"} {
			status, body, h := f.do(c.request[0], "/api/v1/log/"+c.request[1], c.request[2], "Authorization", token)
			got = append(got, fmt.Sprint(status))
			if strings.Contains(string(body), "secret") || status == 401 && h.Get("WWW-Authenticate") == "" {
				t.Errorf("%v: %s, %v", c.request, body, h)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v: %s, want %s", c.request[:2], s, c.want)
		}
	}
	for _, query := range []string{"prefix=t/8/", "key=t/7/a&key=t/8/b", "prefix="} {
		f.json(403, "GET", "/api/v1/log/follow?"+query, "", "Authorization", "Bearer t-secret")
	}
	f.follow("prefix=t/7/", "Authorization", "Bearer t-secret").entries(1)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, _, _ := f.do("GET", path, ""); status != 200 {
			t.Errorf("%s needs a token: %d", path, status)
		}
	}
}

// A token that is taken from the file ends what it began; one that is added
// works; a file that is broken changes nothing.
func TestTokensAreReadAgain(t *testing.T) {
	tk, write := tokens(t, "a one read\n")
	f := newBench(t, Options{Tokens: tk, Heartbeat: 64 * time.Millisecond})
	f.header.Set("Authorization", "Bearer one")
	s := f.follow("key=k")
	s.until("heartbeat")
	write("this is no file of tokens\n\n")
	f.get("status")
	write("b two read\n")
	if e := s.until("error"); !strings.Contains(e.data, "unauthenticated") {
		t.Errorf("got %+v", e)
	}
	f.json(401, "GET", "/api/v1/log/status", "")
	f.header.Set("Authorization", "Bearer two")
	f.get("status")
}

func TestTokenFilesThatAreWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	for content, want := range map[string]string{
		"a secret":               "line 1: want a name, a token and scopes",
		"\na secret read,fly":    `line 2 (a): scope "fly"`,
		"a sha256:00 read":       "64 hexadecimal digits",
		"a secret read base64:!": "prefix",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenTokens(path, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	if _, err := OpenTokens(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a file that is not there")
	}
}

// What stands behind Require is for admins.
func TestRequireAdmin(t *testing.T) {
	tk, _ := tokens(t, "a one read,append\nb two admin\nc three admin t/\n")
	h := tk.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, 200, "in") }))
	for token, want := range map[string]int{"one": 403, "two": 200, "three": 403, "four": 401} {
		w := &recorder{header: http.Header{}}
		r, _ := http.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		h.ServeHTTP(w, r)
		if w.status != want {
			t.Errorf("%s: %d, want %d", token, w.status, want)
		}
	}
}
