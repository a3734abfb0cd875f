package browsertest

import (
	"testing"

	"github.com/logdb-go/logdb/logdb/server"
)

// The page in both schemes and on a narrow screen.
func TestLooks(t *testing.T) {
	w := newWorld(t, server.Options{})
	w.flights(4000)
	w.flushed()
	for _, c := range []struct {
		name, scheme string
		width        int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"narrow", "light", 390}} {
		b := newTab(t, c.width, 860, c.scheme)
		b.open(w.url + "/")
		b.reads(".figures", "healthy")
		b.until("document.querySelectorAll('.bar .shape').length > 3")
		b.shot(c.name + "-overview")
		b.press("2")
		b.until("document.querySelectorAll('tbody tr').length === 50")
		b.shot(c.name + "-keys")
		b.press("j", "\r")
		b.until("document.querySelectorAll('.entry').length > 0")
		b.press("j", "\r")
		b.reads(".entry[open] pre", "origin")
		b.shot(c.name + "-log")
		b.open(w.url + "/#/key/LAX-JFK?as=hex")
		b.reads(".preview", "7b 22")
		b.press("j", "j", "\r")
		b.reads(".entry[open] pre", "00000000  7b")
		b.shot(c.name + "-hex")
		b.press("f")
		b.reads("main .state", "live")
		w.appended("LAX-JFK", `{"now":"here"}`)
		b.reads(".live", "6e 6f 77")
		b.shot(c.name + "-tail")
	}
}
