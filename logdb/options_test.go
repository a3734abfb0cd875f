package logdb

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

func TestDefaultsAreValid(t *testing.T) {
	for _, o := range []Options{{}, {WALDir: "wal"}, {Retention: Retention{Age: time.Hour, Bytes: 1 << 30, Records: 1, Before: 9}}} {
		if err := o.withDefaults().validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if o := (Options{}).withDefaults(); o.Ack != Remote {
		t.Errorf("without a disk the default is %v", o.Ack)
	}
	if o := (Options{WALDir: "wal"}).withDefaults(); o.Ack != Local {
		t.Errorf("with a disk the default is %v", o.Ack)
	}
}

// Whoever mends one violation must not meet the next at the next start: all of
// them are told at once, each with what it has and what it is held against.
func TestAllViolationsAtOnce(t *testing.T) {
	o := Options{
		Ack: 9, Visibility: Local, ShipInterval: time.Microsecond, FlushInterval: time.Nanosecond, CollectGrace: time.Second,
		Limits: Limits{ValueBytes: -1, BatchBytes: 512 << 20},
		Memory: Memory{Memtable: 1 << 20, Queue: 1 << 10, QueueRecords: -1, Cache: 1},
		Segments: SegmentOptions{
			Bytes: -1, Interval: -time.Second,
		},
		Retention: Retention{Age: -time.Second},
	}
	b := objstoretest.NewRequests(objstore.NewMem())
	_, err := Open(context.Background(), b, o)
	if err == nil {
		t.Fatal("opened")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		"Ack is durability(9)", "Visibility is local", "Limits.ValueBytes is -1", "Limits.BatchBytes is 536870912, limit 268435456",
		"more than a quarter of Memory.Memtable (1048576)", "more than a quarter of Memory.Queue (1024)", "Memory.QueueRecords is -1",
		"Memory.Cache is 1, want at least 1048576", "Segments.Bytes is -1", "Segments.Interval is -1s", "Retention.Age is -1s",
		"ShipInterval is 1µs, want at least 1ms", "FlushInterval is 1ns, less than ShipInterval (1µs)", "CollectGrace is 1s, want at least 1m0s",
	} {
		n := 0
		for _, line := range lines {
			if strings.Contains(line, want) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q is said %d times in\n%v", want, n, err)
		}
	}
	if len(lines) != 14 {
		t.Errorf("%d violations, want 14:\n%v", len(lines), err)
	}
	if got := b.String(); got != "" {
		t.Errorf("the bucket was asked\n%s", got)
	}
}

func TestRetentionAgainstSegments(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Retention: Retention{Age: time.Minute}}, "Retention.Age is 1m0s, less than Segments.Interval (1h0m0s)"},
		{Options{Retention: Retention{Age: time.Hour}}, ""},
		{Options{Retention: Retention{Bytes: 1 << 20}}, "Retention.Bytes is 1048576, less than Segments.Bytes (1073741824)"},
		{Options{Retention: Retention{Bytes: 1 << 20}, Segments: SegmentOptions{Bytes: 1 << 20}}, ""},
	} {
		err := c.o.withDefaults().validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.o.Retention, err, c.want)
		}
	}
}

func TestDurabilityText(t *testing.T) {
	for d := Default; d <= Remote; d++ {
		if got, err := ParseDurability(d.String()); err != nil || got != d {
			t.Errorf("%v is read as %v, %v", d, got, err)
		}
	}
	if _, err := ParseDurability("eventual"); err == nil {
		t.Error("anything is a durability")
	}
}

// Budgets add up what the options name, with the defaults where they name nothing.
func TestBudgets(t *testing.T) {
	for _, c := range []struct {
		got  int64
		want int64 // MiB
	}{
		{Memory{}.Budget(), 5*64 + 64 + 256 + 64 + 256 + 192},
		{Memory{Memtable: 8 << 20, Queue: 1 << 20, Cache: 16 << 20, Transfers: objstore.NewBudget(2 << 20)}.Budget(), 5*8 + 1 + 16 + 4 + 2 + 192},
		{ReaderOptions{}.Budget(), 5*64 + 256 + 64 + 256},
		{ReaderOptions{Cache: 16 << 20, Transfers: objstore.NewBudget(2 << 20)}.Budget(), 5*64 + 16 + 4 + 2},
	} {
		if c.got != c.want<<20 {
			t.Errorf("%d bytes, want %d MiB", c.got, c.want)
		}
	}
}
