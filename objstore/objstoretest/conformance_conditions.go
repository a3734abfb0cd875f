package objstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

const (
	racers      = 16
	rounds      = 12
	counters    = 8
	increments  = 20
	tornWrites  = 24
	tornReaders = 4
	tornSize    = 256 << 10
)

func testIfAbsent(t *testing.T, b objstore.Bucket) {
	etag := mustPut(t, b, "w/1", []byte("first"), objstore.IfAbsent())
	_, err := b.Put(t.Context(), "w/1", []byte("second"), objstore.IfAbsent())
	wantError(t, "put if absent over an object", err, objstore.ErrPrecondition)
	_, err = b.Put(t.Context(), "w/1", []byte("first"), objstore.IfAbsent())
	wantError(t, "put if absent of the same bytes", err, objstore.ErrPrecondition)
	if o := mustGet(t, b, "w/1"); string(o.Data) != "first" || o.ETag != etag {
		t.Fatalf("got %q with etag %q, want %q with %q", o.Data, o.ETag, "first", etag)
	}
}

func testIfMatch(t *testing.T, b objstore.Bucket) {
	ctx := t.Context()
	_, err := b.Put(ctx, "m", []byte("0"), objstore.IfMatch("no such etag"))
	wantError(t, "put if match over nothing", err, objstore.ErrNotFound, objstore.ErrPrecondition)
	_, err = b.Put(ctx, "m", []byte("0"), objstore.IfMatch(""))
	wantError(t, "put if match of no etag", err, fs.ErrInvalid)
	wantNames(t, b, "", "")

	first := mustPut(t, b, "m", []byte("1"), objstore.IfAbsent())
	_, err = b.Put(ctx, "m", []byte("x"), objstore.IfMatch("no such etag"))
	wantError(t, "put if match of an etag made up", err, objstore.ErrPrecondition)
	second := mustPut(t, b, "m", []byte("2"), objstore.IfMatch(first))
	_, err = b.Put(ctx, "m", []byte("x"), objstore.IfMatch(first))
	wantError(t, "put if match of an etag of before", err, objstore.ErrPrecondition)
	wantBody(t, b, "m", []byte("2"))
	mustPut(t, b, "m", []byte("3"), objstore.IfMatch(second))
	mustPut(t, b, "m", []byte("4"), objstore.IfMatch(mustGet(t, b, "m").ETag))
	wantBody(t, b, "m", []byte("4"))
}

// race starts n writers at once and returns the numbers of those whose put was applied. Any answer but success
// and refusal fails the test.
func race(t *testing.T, n int, put func(ctx context.Context, i int) error) []int {
	t.Helper()
	var mu sync.Mutex
	var winners []int
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-start
			err := put(t.Context(), i)
			if err != nil && !errors.Is(err, objstore.ErrPrecondition) && !errors.Is(err, objstore.ErrNotFound) {
				t.Errorf("racer %d: %v", i, err)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				winners = append(winners, i)
			}
		})
	}
	close(start)
	group.Wait()
	return winners
}

func testRaceIfAbsent(t *testing.T, b objstore.Bucket) {
	for round := range rounds {
		name := fmt.Sprintf("race/%d", round)
		winners := race(t, racers, func(ctx context.Context, i int) error {
			_, err := b.Put(ctx, name, racerBody(i), objstore.IfAbsent())
			return err
		})
		wantOneWinner(t, b, name, winners)
	}
}

func testRaceIfMatch(t *testing.T, b objstore.Bucket) {
	etag := mustPut(t, b, "race", []byte("start"), objstore.IfAbsent())
	for range rounds {
		winners := race(t, racers, func(ctx context.Context, i int) error {
			_, err := b.Put(ctx, "race", racerBody(i), objstore.IfMatch(etag))
			return err
		})
		wantOneWinner(t, b, "race", winners)
		// The winner's bytes may come again in a later round, and their etag with them; a round begins with new ones.
		etag = mustPut(t, b, "race", []byte(objstore.NewID().String()), objstore.Always())
	}
}

func racerBody(i int) []byte { return []byte(strings.Repeat("racer "+strconv.Itoa(i)+" ", 100)) }

func wantOneWinner(t *testing.T, b objstore.Bucket, name string, winners []int) {
	t.Helper()
	if len(winners) != 1 {
		t.Fatalf("%q: racers %v were told that they had won, want one", name, winners)
	}
	wantBody(t, b, name, racerBody(winners[0]))
}

// testCounter: the final value is the number of successes, or somebody's increment was overwritten.
func testCounter(t *testing.T, b objstore.Bucket) {
	mustPut(t, b, "counter", []byte("0 start"), objstore.IfAbsent())
	var applied atomic.Int64
	var group sync.WaitGroup
	for range counters {
		group.Go(func() {
			for range increments {
				ok, err := increment(t.Context(), b)
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					applied.Add(1)
				}
			}
		})
	}
	group.Wait()
	value, _, _ := strings.Cut(string(mustGet(t, b, "counter").Data), " ")
	if got := strconv.FormatInt(applied.Load(), 10); got != value || got == "0" {
		t.Fatalf("%s increments were acknowledged, and the counter stands at %s", got, value)
	}
}

func increment(ctx context.Context, b objstore.Bucket) (applied bool, err error) {
	o, err := b.Get(ctx, "counter")
	if err != nil {
		return false, err
	}
	text, _, _ := strings.Cut(string(o.Data), " ")
	value, err := strconv.Atoi(text)
	if err != nil {
		return false, err
	}
	// The nonce keeps equal values of a counter that was reset from having equal etags.
	body := fmt.Sprintf("%d %s", value+1, objstore.NewID())
	_, err = b.Put(ctx, "counter", []byte(body), objstore.IfMatch(o.ETag))
	if errors.Is(err, objstore.ErrPrecondition) {
		return false, nil
	}
	return err == nil, err
}

// testWhole: an object consists of one letter only, so a read that mixes two versions shows.
func testWhole(t *testing.T, b objstore.Bucket) {
	letters := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, tornSize-i) }
	mustPut(t, b, "torn", letters(0), objstore.Always())
	done := make(chan struct{})
	var group sync.WaitGroup
	for range tornReaders {
		group.Go(func() {
			for {
				o, err := b.Get(t.Context(), "torn")
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				if len(o.Data) == 0 || !bytes.Equal(o.Data, letters(tornSize-len(o.Data))) {
					t.Errorf("a read of %d bytes mixes versions", len(o.Data))
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range tornWrites {
		mustPut(t, b, "torn", letters(i), objstore.Always())
	}
	close(done)
	group.Wait()
}
