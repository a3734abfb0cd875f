package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/objstore"
)

// numbers are the values that the tail shows, in order.
const numbers = "[...document.querySelectorAll('.live .preview')].map((n) => n.innerText).join()"

// A tail that is paused, whose server goes away and comes back, shows every
// entry once and in order.
func TestTailMissesNothing(t *testing.T) {
	w := newWorld(t, server.Options{})
	w.appended("k", "0", "k", "1", "other", "x")
	b := newTab(t, 1280, 800, "light")
	b.expected = []string{"Failed to load resource", "net::ERR"}
	b.open(w.url + "/#/tail?key=k")
	b.reads("main .state", "live")
	b.until(numbers + " === '0,1'")
	w.appended("k", "2", "other", "x", "k", "3")
	b.until(numbers + " === '0,1,2,3'")
	b.press(" ")
	b.reads("main .state", "paused")
	w.appended("k", "4")
	b.press(" ")
	b.until(numbers + " === '0,1,2,3,4'")

	w.stop()
	b.reads("main .state", "connecting again")
	b.reads("#banner", "The server does not answer.")
	w.appended("k", "5")
	listen(t, server.New(w.db, priced(server.Options{})), strings.TrimPrefix(w.url, "http://"))
	b.until(numbers + " === '0,1,2,3,4,5'")
	b.reads("main .state", "live")
	b.until("document.querySelector('#banner').hidden")
}

// A tail of everything keeps the newest thousand.
func TestTailIsBounded(t *testing.T) {
	w := newWorld(t, server.Options{})
	b := newTab(t, 1280, 800, "light")
	b.open(w.url + "/#/tail")
	b.click(".inline button")
	b.reads("main .state", "live")
	for i := range 3000 {
		w.appended(fmt.Sprintf("key/%d", i%7), fmt.Sprint(i))
	}
	b.reads(".live .entry:last-child .preview", "2999")
	b.reads("main .controls", "3,000 since the tail began, 1,000 kept")
	if n := eval[int](b, "document.querySelectorAll('.entry').length"); n != 1000 {
		t.Errorf("%d rows", n)
	}
	b.reads(".live .entry:last-child", "key/3")
	b.until("document.querySelector('.live').scrollTop > 1000")
}

// The page asks for a token, keeps it out of the address, and shows what it is
// good for.
func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("all a-secret read\nseven s-secret read tenant/7/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := server.OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, server.Options{Tokens: tokens})
	w.appended("tenant/7/a", "mine", "tenant/8/b", "theirs")
	b := newTab(t, 1280, 800, "light")
	b.expected = []string{"Failed to load resource"}
	enter := func(token string) {
		b.until("document.querySelector('#ask').open")
		b.until("document.activeElement.id === 'ask-token'")
		for _, c := range token {
			b.press(string(c))
		}
		b.press("\r")
	}
	b.open(w.url + "/#/keys")
	b.until("document.querySelector('#ask').open")
	b.reads("#banner", "A token is needed.")
	b.reads("main .trouble", "A token is needed.")
	b.click("#ask-cancel")
	b.until("!document.querySelector('#ask').open")
	b.click("#token")
	enter("wrong")
	b.reads("#ask-why", "does not know this token")
	b.shot("asked")
	enter("a-secret")
	b.until("document.querySelectorAll('tbody tr').length === 2")
	if strings.Contains(eval[string](b, "location.href + document.cookie + JSON.stringify(localStorage)"), "secret") {
		t.Error("the token is where it must not be")
	}
	b.open(w.url + "/#/tail?key=tenant/8/b")
	b.reads(".live", "theirs")

	b.click("#token")
	enter("s-secret")
	b.reads("main .trouble", "Not with this token: the token is for other keys.")
	b.open(w.url + "/#/keys")
	b.reads("main .trouble", "Not with this token")
	b.open(w.url + "/#/keys?prefix=tenant/7/")
	b.until("document.querySelectorAll('tbody tr').length === 1")
	b.open(w.url + "/#/")
	b.reads(".figures", "healthy")
	b.reads("main .trouble", "Not with this token: the token is for some keys only.")
}

// A log without a record, and a gateway that only reads.
func TestEmptyAndReadOnly(t *testing.T) {
	w := newWorld(t, server.Options{})
	b := newTab(t, 1280, 800, "light")
	b.open(w.url + "/")
	b.reads(".figures", "healthy")
	b.until("document.querySelector('main section .empty, main section table')")
	b.shot("empty")
	b.open(w.url + "/#/keys")
	b.reads("main", "No keys: nothing has been appended")
	b.open(w.url + "/#/key/none")
	b.reads("main", "This key has no entries")
	b.open(w.url + "/#/nowhere")
	b.reads("main", "There is nothing at this address")

	w.appended("k", "v")
	w.flushed()
	url := w.gateway(server.Options{})
	b = newTab(t, 1280, 800, "light") // is closed before the server that it follows
	b.open(url + "/")
	b.reads("#role", "read-only")
	b.reads(".figures", "Last look at the store")
	b.until("document.querySelectorAll('g.bar').length > 0")
	b.shot("gateway")
	b.open(url + "/#/tail?key=k")
	b.reads(".live", "v")
	w.appended("k", "second")
	if err := w.db.WaitFrontier(context.Background(), 2, logdb.Remote); err != nil {
		t.Fatal(err)
	}
	b.reads(".live", "second")
}

// No view is wider than the screen of a telephone.
func TestNarrow(t *testing.T) {
	w := newWorldOn(t, objstore.NewMem(), logdb.Options{Ack: logdb.Applied, ShipInterval: 10 * time.Millisecond}, server.Options{})
	long := strings.Repeat("long", 200)
	w.appended(long, long, "k", `{"a":"`+long+`"}`)
	b := newTab(t, 390, 800, "light")
	for address, there := range map[string]string{
		"#/": "g.bar", "#/keys": "tbody tr", "#/key/" + long: ".entry", "#/tail?key=k": ".entry", "#/key/k?as=hex": ".entry",
	} {
		b.open(w.url + "/" + address)
		b.until(fmt.Sprintf("document.querySelector(%q)", "main "+there))
		if there == ".entry" {
			b.press("j", "\r")
			b.until("document.querySelector('.entry[open] pre')")
		}
		if wide := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
			t.Errorf("%s is %d pixels too wide", address, wide)
		}
	}
}
