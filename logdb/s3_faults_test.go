package logdb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// overHTTP opens a fresh prefix of the server that the environment names, through a transport that breaks requests, and
// the same prefix as it is.
func overHTTP(t *testing.T, plan objstoretest.Plan) (*objstoretest.Transport, objstore.Bucket, objstore.Bucket) {
	t.Helper()
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	o := objstore.S3Options{
		Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: u.Query().Get("region"),
		Endpoint: u.Query().Get("endpoint"), PathStyle: u.Query().Get("path_style") == "1",
	}
	open := func() objstore.Bucket {
		b, err := objstore.NewS3(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	plain := open()
	faults := objstoretest.NewTransport(nil, "/"+o.Bucket+"/"+o.Prefix+"/", plan)
	o.Transport = func(http.RoundTripper) http.RoundTripper { return faults }
	return faults, open(), plain
}

// lost loses the answers of the first attempt to put every WAL object and table, and of every second put of the manifest.
type lost struct {
	mu       sync.Mutex
	attempts map[string]int // PUTs by name
	read     map[string]int // GETs of whole objects by name
}

func (l *lost) choose(op objstoretest.Op) objstoretest.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	cut := objstoretest.Fault{Kind: objstoretest.Cut}
	if op.Kind == objstoretest.Get {
		l.read[op.Name]++
	}
	if op.Kind != objstoretest.Put || strings.HasPrefix(op.Name, "probe-") {
		return objstoretest.Fault{Kind: objstoretest.None}
	}
	l.attempts[op.Name] = op.Attempt
	if op.Name == "manifest" && op.Attempt%2 == 1 || op.Name != "manifest" && op.Attempt == 1 {
		return cut
	}
	return objstoretest.Fault{Kind: objstoretest.None}
}

// Every answer to a put of a WAL object or a table is lost, and every second one to a put of the manifest. Each was
// applied: the second attempt is refused, a read finds the log's own nonce, and what was acknowledged is there once.
func TestS3AnswersAreLost(t *testing.T) {
	l := &lost{attempts: map[string]int{}, read: map[string]int{}}
	faults, broken, plain := overHTTP(t, objstoretest.Plan{Hook: l.choose})
	d := openLog(t, broken, Options{ShipInterval: 10 * time.Millisecond})
	var acked sync.Map
	for round := range 3 {
		var appends sync.WaitGroup
		for i := range 8 {
			appends.Go(func() {
				value := fmt.Sprintf("%d-%d", round, i)
				a, err := d.Append(context.Background(), []Record{rec("k", value)}, AppendOptions{Ack: Remote})
				if err != nil {
					t.Errorf("append %s: %v", value, err)
				}
				acked.Store(a.First, value)
			})
		}
		appends.Wait()
		mustSeal(t, d)
	}
	closeLog(t, d)

	tables, objects := 0, 0
	for name, n := range l.attempts {
		switch {
		case name == "manifest":
		case n != 2 || l.read[name] > 1:
			t.Errorf("%s: put %d times and read %d times, want 2 and at most 1", name, n, l.read[name])
		case strings.HasPrefix(name, "seg/"):
			tables++
		default:
			objects++
		}
	}
	if cuts := faults.Injected()[objstoretest.Cut]; tables < 3 || objects < 3 || cuts < tables+objects+2 {
		t.Errorf("%d answers lost, of %d tables and %d WAL objects and the manifest: want some of each", cuts, tables, objects)
	}
	for who, there := range map[string]LogRead{"a reader": openReader(t, plain, ReaderOptions{}), "the next writer": openLog(t, plain, Options{})} {
		n := 0
		for _, e := range mustHistory(t, there) {
			if value, ok := acked.Load(e.Sequence); !ok || value != string(e.Value) {
				t.Errorf("%s: sequence %d is %q, acknowledged was %v", who, e.Sequence, e.Value, value)
			}
			n++
		}
		if n != 24 {
			t.Errorf("%s: %d entries, want 24", who, n)
		}
	}
}

// The keys expire under a writer and a reader. Neither is stopped by it; both go on once the keys are renewed.
func TestS3KeysExpireUnderTheLog(t *testing.T) {
	faults, broken, _ := overHTTP(t, objstoretest.Plan{Storms: []objstoretest.Storm{{
		Fault: objstoretest.Fault{Kind: objstoretest.Denied}, Kind: objstoretest.Put, Prefix: "wal/", Skip: 1,
	}, {
		Fault: objstoretest.Fault{Kind: objstoretest.Denied}, Kind: objstoretest.Get, Prefix: "wal/", Skip: 2,
	}}})
	d := openLog(t, broken, Options{})
	mustAppend(t, d, Remote, "k", "before")
	r := openReader(t, broken, ReaderOptions{RefreshInterval: -1})
	appended := make(chan error)
	go func() {
		_, err := d.Append(context.Background(), []Record{rec("k", "while expired")}, AppendOptions{Ack: Remote})
		appended <- err
	}()
	for deadline := time.Now().Add(time.Minute); d.Metrics().RequestErrors["put/access_denied"] == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no put was denied within a minute")
		}
	}
	if err := r.Refresh(t.Context()); !errors.Is(err, objstore.ErrAccessDenied) {
		t.Errorf("refresh with keys that have expired: %v", err)
	}
	if got := scanAll(t, r, "k", Range{}, ScanOptions{}); len(got) != 1 {
		t.Errorf("the reader shows %d entries meanwhile, want the one that it had", len(got))
	}
	faults.Calm()
	if err := <-appended; err != nil {
		t.Fatalf("append that waited for the renewal: %v", err)
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatalf("refresh after the renewal: %v", err)
	}
	if got := scanAll(t, r, "k", Range{}, ScanOptions{}); len(got) != 2 {
		t.Errorf("the reader shows %d entries after the renewal, want 2", len(got))
	}
}

// Ranges of tables come short or with a flipped bit, which no checksum of the store covers. A scan returns what was
// appended or an error, and the same reader reads on when the damage has passed.
func TestS3DamagedRanges(t *testing.T) {
	plan := objstoretest.Replayable(t, objstoretest.Plan{Storms: []objstoretest.Storm{
		{Fault: objstoretest.Fault{Kind: objstoretest.Truncate}, Kind: objstoretest.GetRange, Requests: 6},
		{Fault: objstoretest.Fault{Kind: objstoretest.FlipBit}, Kind: objstoretest.GetRange, Requests: 12},
	}})
	faults, broken, plain := overHTTP(t, plan)
	d := openLog(t, plain, Options{})
	for i := range 20 {
		mustAppend(t, d, Applied, "k", fmt.Sprintf("value %d %s", i, strings.Repeat("x", 2000)))
	}
	mustSeal(t, d)
	closeLog(t, d)
	r := openReader(t, broken, ReaderOptions{RefreshInterval: -1})
	failed := 0
	for tries := 0; ; tries++ {
		entries, err := keyHistory(r, []byte("k"))
		if err == nil {
			for i, e := range entries {
				if want := fmt.Sprintf("value %d ", i); !strings.HasPrefix(string(e.Value), want) {
					t.Fatalf("entry %d is %.20q", i, e.Value)
				}
			}
			if len(entries) != 20 {
				t.Fatalf("%d entries, want 20", len(entries))
			}
			break
		}
		if failed++; tries == 50 {
			t.Fatalf("still after %d scans: %v", tries, err)
		}
	}
	if got := faults.Injected(); failed == 0 || got[objstoretest.FlipBit] == 0 || got[objstoretest.Truncate] == 0 {
		t.Errorf("%d scans failed, injected %v: want some of each", failed, got)
	}
}
