package logdb

import (
	"testing"
	"testing/synctest"
	"time"
)

// A day without the bucket is remembered in bounded memory, and exactly where it
// matters: how much there is, and how old the oldest of it is.
func TestArrearsOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{}.withDefaults()
		a := newArrears(&o)
		began := time.Now()
		const seconds = 24 * 60 * 60
		for i := range uint64(seconds) {
			a.applied(2*(i+1), 2, 100)
			time.Sleep(time.Second)
		}
		l := a.lag(time.Now())
		if l.Records != 2*seconds || l.Bytes != 100*seconds || l.Age != time.Since(began) || len(a.mu.entries) > arrearsEntries {
			t.Errorf("after a day: %+v in %d entries", l, len(a.mu.entries))
		}
		half := uint64(seconds)
		a.shipped(half)
		l = a.lag(time.Now())
		if grain := uint64(2 * seconds / arrearsEntries * 4); l.Records < half || l.Records > half+grain || l.Age < 12*time.Hour || l.Age > 12*time.Hour+time.Duration(grain)*time.Second {
			t.Errorf("half of it shipped: %+v", l)
		}
		if !a.recoveredAt().Equal(began) {
			t.Error("recovered while late")
		}
		a.shipped(2 * half)
		if l := a.lag(time.Now()); l != (Lag{}) || !a.recoveredAt().Equal(time.Now()) {
			t.Errorf("all of it shipped: %+v", l)
		}
	})
}

// Groups that come within a moment are one entry; the sum stays exact.
func TestArrearsOfManyGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{}.withDefaults()
		a := newArrears(&o)
		for i := range uint64(10_000) {
			a.applied(i+1, 1, 10)
		}
		if l := a.lag(time.Now()); l.Records != 10_000 || l.Bytes != 100_000 || len(a.mu.entries) != 1 {
			t.Errorf("%+v in %d entries", l, len(a.mu.entries))
		}
	})
}
