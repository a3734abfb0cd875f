package browsertest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/logdb-go/logdb/logdb/server"
)

// Somebody finds a key and reads its log from the newest entry to the oldest,
// with the keyboard alone, and sends the address of what was found to another.
func TestKeyboardFromSearchToEntry(t *testing.T) {
	w := newWorld(t, server.Options{})
	for i := range 120 {
		w.appended(fmt.Sprintf("user/%03d", i), "hello", "zebra", fmt.Sprintf(`{"turn":%d}`, i))
	}
	b := newTab(t, 1280, 800, "light")
	b.open(w.url + "/")
	b.reads(".figures", "240")
	b.press("/")
	b.until("document.activeElement.id === 'search'")
	b.until("document.querySelectorAll('tbody tr').length === 50")
	b.press("u", "s", "e", "r", "/", "1")
	b.until("document.querySelectorAll('tbody tr').length === 20")
	b.until("location.hash === '#/keys?prefix=user%2F1'")
	b.press(kb.Escape, "/")
	b.until("document.querySelector('#search').selectionEnd === 6 && document.querySelector('#search').selectionStart === 0")
	b.press(kb.Backspace)
	b.until("document.querySelectorAll('tbody tr').length === 50")
	b.press(kb.Escape, "n")
	b.until("document.querySelector('tbody a')?.innerText === 'user/050'")
	b.press("n")
	b.until("document.querySelector('tbody')?.innerText.includes('zebra')")
	b.press("p")
	b.until("document.querySelector('tbody a')?.innerText === 'user/050'")
	b.press("n")
	b.until("document.querySelectorAll('tbody tr').length === 21")
	b.press("k", "\r")
	b.reads(".facts", "120 entries")
	b.until("document.title === 'zebra - LogDb'")
	b.reads(".entry .preview", `{"turn":119}`)
	b.press("n")
	b.reads(".entry .preview", `{"turn":69}`)
	b.press("n")
	b.reads(".entry:last-child .preview", `{"turn":0}`)
	b.until("!document.querySelector('[data-next]')")
	b.press("j", "j", "\r")
	b.until(`document.querySelector('.entry[open] pre')?.innerText === '{\n  "turn": 18\n}'`)

	address := eval[string](b, "location.href")
	other := newTab(t, 1280, 800, "dark")
	other.open(address)
	other.reads(".entry:last-child .preview", `{"turn":0}`)
	other.press("p")
	other.reads(".entry .preview", `{"turn":69}`)
}

// An entry can be reached by its sequence and by a time.
func TestGoToSequenceAndTime(t *testing.T) {
	w := newWorld(t, server.Options{})
	first := w.appended("k", "0")
	for i := range 99 {
		w.appended("k", strconv.Itoa(i+1))
	}
	b := newTab(t, 1280, 800, "light")
	b.open(w.url + "/#/key/k")
	b.reads(".entry .preview", "99")
	b.click("#from")
	b.press("2", "5", "\r")
	b.reads(".entry:last-child .seq", "25")
	b.click("#from")
	for _, c := range first.Time.UTC().Format("2006-01-02 15:04") {
		b.press(string(c))
	}
	b.press("\r")
	b.reads(".entry:last-child .seq", "0")
	b.until("document.querySelectorAll('.entry').length === 50")
}

// Values can be looked at as what they are not.
func TestForms(t *testing.T) {
	w := newWorld(t, server.Options{})
	w.appended("k", `{"big":9007199254740993,"list":[],"deep":{"a":[1,2]}}`)
	w.appended("k", "line one\nline two")
	w.appended("k", "\x00\x01\xfe\xff")
	b := newTab(t, 1280, 800, "light")
	b.open(w.url + "/#/key/k")
	b.until("document.querySelectorAll('.entry').length === 3")
	eval[int](b, "[...document.querySelectorAll('summary')].map((s) => s.click()).length")
	value := func(n int) string {
		b.until(fmt.Sprintf("document.querySelectorAll('.entry')[%d].querySelector('pre')", n))
		return eval[string](b, fmt.Sprintf("document.querySelectorAll('.entry')[%d].querySelector('pre').innerText", n))
	}
	if got := value(2); got != "{\n  \"big\": 9007199254740993,\n  \"list\": [],\n  \"deep\": {\n    \"a\": [\n      1,\n      2\n    ]\n  }\n}" {
		t.Errorf("JSON is shown as %s", got)
	}
	if got := value(1); got != "line one\nline two" {
		t.Errorf("text is shown as %s", got)
	}
	if got := value(0); !strings.HasPrefix(got, "00000000  00 01 fe ff") {
		t.Errorf("bytes are shown as %s", got)
	}
	b.click("input[value=text]")
	b.until("location.hash === '#/key/k?as=text'")
	b.reads(".entry .preview", `\x00\x01\xfe\xff`)
	b.click("input[value=hex]")
	b.reads(".entry .preview", "00 01 fe ff")
}

// What is in the log stays text, whatever it says, and has an address, whatever
// its bytes.
func TestHostileBytes(t *testing.T) {
	w := newWorld(t, server.Options{})
	evil := `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`
	keys := []string{evil, "\xff\x00bin", "", "a b&c=d?e#f%20/../g", "rtl\u202etxt", "back\\slash\\x41", "\ufeffbom"}
	for _, k := range keys {
		w.appended(k, evil)
	}
	b := newTab(t, 1280, 800, "light")
	for i, k := range keys {
		b.open(w.url + "/#/keys")
		b.until(fmt.Sprintf("document.querySelectorAll('tbody tr').length === %d", len(keys)))
		at := eval[int](b, fmt.Sprintf("[...document.querySelectorAll('tbody a')].findIndex((a) => a.innerText === %q)", []string{
			evil, `\xff\x00bin`, "(empty)", k, `rtl\u{202e}txt`, `back\\slash\\x41`, `\u{feff}bom`}[i]))
		if at < 0 {
			t.Fatalf("no key %q in %s", k, b.text("tbody"))
		}
		eval[bool](b, fmt.Sprintf("document.querySelectorAll('tbody a')[%d].click() ?? true", at))
		b.reads(".entry .preview", evil)
		b.reads(".facts", "1 entry")
		b.press("j", "\r")
		b.reads(".entry[open] pre", evil)
		b.press("f")
		b.reads(".live", evil)
	}
	b.open(w.url + "/#/keys?prefix64=_wA")
	b.reads("tbody", `\xff\x00bin`)
	if got := eval[string](b, "document.querySelector('#search').value"); got != `\xff\x00` {
		t.Errorf("the prefix is shown as %s", got)
	}
	if eval[bool](b, "'hit' in window || !!document.querySelector('main script, main img')") {
		t.Error("bytes of the log became markup")
	}
}

// A log far beyond what a JavaScript number holds, whose store is away, after
// one month.
func TestBigNumbersAndTheBill(t *testing.T) {
	last := ""
	url := fake(t, map[string]http.HandlerFunc{
		"GET /api/v1/log/status": answer(strings.Replace(fakeStatus, "STARTED", strconv.FormatInt(time.Now().Add(-15*24*time.Hour).UnixMilli(), 10), 1)),
		"GET /api/v1/log/segments": answer(`{"status":"success","segments":[{"id":"9007199254740993","startSeq":"9007199254740993","startTimeMs":1790000000000,
			"sealed":false,"records":"18446744073709551","bytes":"12345678901234","lastTimeMs":1790003600000,"metadata":""}]}`),
		"GET /api/v1/log/keys": answer(`{"status":"success","keys":[{"key":"aw==","count":"9007199254740995","valueBytes":"1","firstSequence":"9007199254740993","lastSequence":"18446744073709551614","lastTimeMs":1}]}`),
		"GET /api/v1/log/scan": func(w http.ResponseWriter, r *http.Request) {
			last = r.URL.Query().Get("end_seq")
			answer(`{"status":"success","key":"aw==","values":[{"sequence":"18446744073709551613","value":"dg==","timeMs":1}],"nextSequence":"18446744073709551613","tailSequence":"1"}`)(w, r)
		},
	})
	b := newTab(t, 1280, 800, "dark")
	b.open(url + "/")
	b.reads("#health", "unreachable")
	b.reads(".figures", "the store does not answer")
	b.reads(".figures", "1.23 MB, oldest 1 min")
	b.reads(".figures", "$4.00")
	b.reads("section[aria-labelledby=section-requests-to-the-store]", "2,700,000")
	b.reads("section[aria-labelledby=section-watermarks]", "18,437,736,874,454,810,622")
	b.reads("section[aria-labelledby=section-segments]", "[9,007,199,254,740,993, …)")
	b.shot("unreachable")
	b.open(url + "/#/key/k")
	b.reads(".entry .seq", "18,446,744,073,709,551,613")
	b.reads(".facts", "9,007,199,254,740,995 entries")
	b.click("[data-next]")
	b.until("location.hash.includes('before=18446744073709551613')")
	b.reads(".entry .seq", "18,446,744,073,709,551,613")
	if last != "18446744073709551613" {
		t.Errorf("asked for entries before %s", last)
	}
}

// The arrows go along the time line; a chosen segment is shown in the table.
func TestTimeLine(t *testing.T) {
	w := newWorld(t, server.Options{})
	for range 30 {
		w.appended("k", strings.Repeat("v", 1000))
		w.sealed()
	}
	w.appended("k", "v")
	b := newTab(t, 1280, 800, "light")
	b.open(w.url + "/")
	b.until("document.querySelectorAll('g.bar').length === 31")
	first := eval[string](b, "document.querySelector('g.bar').dataset.bar")
	eval[bool](b, "document.querySelector('g.bar[tabindex=\"0\"]').focus() ?? true")
	b.press(kb.ArrowLeft, kb.Home)
	b.until("document.activeElement === document.querySelector('g.bar')")
	if n := eval[int](b, "document.querySelectorAll('tbody tr[data-segment]').length"); n != 8 {
		t.Errorf("%d rows before older ones are asked for, want 8", n)
	}
	b.press("\r")
	b.until("document.querySelector('tr.selected')?.dataset.segment === '" + first + "'")
	b.until("document.activeElement.dataset.bar === '" + first + "'")
	b.reads("tr.selected", "sealed")
}
