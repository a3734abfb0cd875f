package logdb

import (
	"math"
	"math/rand/v2"
	"time"
)

// drive runs the random part of the schedule. All choices are the driver's, so
// they depend on the seed and on what lives, and on nothing else.
func (w *simWorld) drive() {
	if w.profile.compactors {
		w.running.Go(w.compactors().drive)
	}
	w.open(w.freeDisk(), w.rng)
	w.openReader(time.Second+time.Duration(w.rng.Int64N(int64(9*time.Second))), false)
	for range w.c.steps {
		time.Sleep(w.pause())
		w.act()
		if w.oracle.failed() {
			return
		}
	}
}

// pause is mostly short and now and then long enough for everything that goes
// by time.
func (w *simWorld) pause() time.Duration {
	span := math.Exp(w.rng.Float64() * math.Log(1000)) // 1 to 1000
	d := time.Duration(span * float64(w.profile.latency) / 4)
	if w.rng.IntN(25) == 0 {
		d += time.Duration(w.rng.Int64N(int64(8 * time.Minute)))
	}
	return d + time.Duration(w.rng.Int64N(1000))
}

func (w *simWorld) act() {
	actions := []struct {
		weight int
		do     func()
	}{
		{40, w.actAppend}, {8, w.actBurst}, {3, w.actFlush}, {4, w.actSeal}, {2, w.actClose}, {5, w.actCrash},
		{9, w.actOpen}, {4, w.actStall}, {2, w.actOutage}, {6, w.actView}, {4, w.actFresh}, {9, w.actConsume},
		{5, w.actObserve}, {1, w.actReader}, {2, w.actCompact}, {2, w.actRival}, {2, w.actSiege},
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := w.rng.IntN(total)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			a.do()
			return
		}
	}
}

// freeDisk picks a directory that nobody has open, or none.
func (w *simWorld) freeDisk() *simDisk {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.profile.diskless && w.rng.IntN(3) == 0 {
		return nil
	}
	if d := w.disks[w.rng.IntN(len(w.disks))]; !d.inUse {
		return d
	}
	for _, d := range w.disks {
		if !d.inUse {
			return d
		}
	}
	return nil
}

// up returns the writers whose process lives, opening ones included.
func (w *simWorld) up() []*simWriter {
	var out []*simWriter
	for _, p := range w.writers {
		select {
		case <-p.ended:
		default:
			out = append(out, p)
		}
	}
	w.writers = out
	return out
}

// someWriter picks a writer, mostly the newest.
func (w *simWorld) someWriter() *simWriter {
	up := w.up()
	if len(up) == 0 {
		return nil
	}
	if w.rng.IntN(3) > 0 {
		return up[len(up)-1]
	}
	return up[w.rng.IntN(len(up))]
}

func (w *simWorld) actOpen() {
	if len(w.up()) >= w.profile.rivals {
		return
	}
	d := w.freeDisk()
	if d == nil && !w.profile.diskless {
		return
	}
	p := w.open(d, w.rng)
	if w.rng.IntN(4) == 0 { // killed somewhere on its way
		after := time.Duration(w.rng.Int64N(int64(40 * w.profile.latency)))
		rng := rand.New(rand.NewPCG(w.c.seed, w.rng.Uint64()))
		w.running.Go(func() {
			time.Sleep(after)
			p.crash(rng)
		})
	}
}

func (w *simWorld) batch() []Record {
	records := make([]Record, 1+w.rng.IntN(5))
	for i := range records {
		size := w.rng.IntN(40)
		if w.profile.bigs {
			size = w.rng.IntN(len(padding))
		}
		records[i] = Record{Key: []byte(simKeys[w.rng.IntN(len(simKeys))]), Value: padding[:size]}
	}
	return records
}

var padding = func() []byte {
	b, rng := make([]byte, 9<<10), rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(b)
	return b
}()

func (w *simWorld) level() Durability {
	return []Durability{Default, Applied, Applied, Local, Local, Remote, Remote}[w.rng.IntN(7)]
}

func (w *simWorld) actAppend() {
	if p := w.someWriter(); p != nil {
		patience := 5 * time.Minute
		if w.rng.IntN(5) == 0 {
			patience = time.Duration(w.rng.Int64N(int64(4 * w.profile.latency)))
		}
		p.append(w.batch(), w.level(), patience, w.rng.IntN(8) == 0)
	}
}

func (w *simWorld) actBurst() {
	if p := w.someWriter(); p != nil {
		level := w.level()
		for range 5 + w.rng.IntN(25) {
			p.append(w.batch(), level, 5*time.Minute, false)
		}
	}
}

func (w *simWorld) actFlush() {
	if p := w.someWriter(); p != nil {
		p.flush()
	}
}

func (w *simWorld) actSeal() {
	if p := w.someWriter(); p != nil {
		p.seal([]byte{byte(w.rng.IntN(256))})
	}
}

func (w *simWorld) actClose() {
	if p := w.someWriter(); p != nil {
		p.close()
	}
}

func (w *simWorld) actCrash() {
	if p := w.someWriter(); p != nil {
		p.crash(rand.New(rand.NewPCG(w.c.seed, w.rng.Uint64())))
	}
}

func (w *simWorld) actStall() {
	ports := []*simPort{}
	for _, p := range w.up() {
		ports = append(ports, p.port)
	}
	for _, r := range w.readers {
		ports = append(ports, r.port)
	}
	if len(ports) == 0 {
		return
	}
	port := ports[w.rng.IntN(len(ports))]
	if port.stalled() {
		return
	}
	d := time.Duration(math.Exp(w.rng.Float64()*math.Log(600)) * float64(2*time.Second)) // 2 s to 20 min
	w.count("stall")
	w.tracef("%s stalls for %v", port.name, d)
	port.stall()
	w.running.Go(func() {
		select {
		case <-time.After(d):
		case <-w.ctx.Done():
		}
		w.tracef("%s goes on", port.name)
		port.thaw()
	})
}

func (w *simWorld) actOutage() {
	d := time.Duration(w.rng.Int64N(int64(3 * time.Minute)))
	w.count("outage")
	w.tracef("the store is away for %v", d)
	w.faulty.Down(true)
	w.running.Go(func() {
		time.Sleep(d)
		w.faulty.Down(false)
	})
}

// actSiege appends through an outage for longer than memory lasts: what there
// is no room for is staged. It may end in a crash, with the store away or back.
func (w *simWorld) actSiege() {
	p := w.someWriter()
	if p == nil {
		return
	}
	w.count("siege")
	w.tracef("the store is away, %s is besieged", p.name)
	w.faulty.Down(true)
	for range 10 + w.rng.IntN(60) {
		time.Sleep(time.Duration(w.rng.Int64N(int64(time.Second))))
		records := w.batch()
		records[0].Value = padding[:w.rng.IntN(len(padding))]
		p.append(records, []Durability{Applied, Local}[w.rng.IntN(2)], 5*time.Minute, false)
	}
	end := w.rng.IntN(4)
	if end == 0 {
		w.actCrash()
	}
	time.Sleep(time.Duration(w.rng.Int64N(int64(20 * time.Second))))
	w.faulty.Down(false)
	if end == 1 {
		time.Sleep(time.Duration(w.rng.Int64N(int64(20 * w.profile.latency))))
		w.actCrash()
	}
}

// someSource picks what to read through.
func (w *simWorld) someSource() (who string, p *simWriter, l LogRead, o ScanOptions) {
	if r := w.readers[w.rng.IntN(len(w.readers))].live(); r != nil && w.rng.IntN(2) == 0 {
		return "reader", nil, r, ScanOptions{}
	}
	if p := w.someWriter(); p != nil {
		if d := p.live(); d != nil {
			return p.name, p, d, ScanOptions{Visibility: []Durability{Applied, Remote}[w.rng.IntN(2)]}
		}
	}
	return "", nil, nil, ScanOptions{}
}

func (w *simWorld) actView() {
	if who, p, l, o := w.someSource(); l != nil {
		w.running.Go(func() { w.readAll(who, p, l, o, false) })
	}
}

func (w *simWorld) actFresh() { w.openReader(-1, true) }

func (w *simWorld) actReader() {
	i := w.rng.IntN(len(w.readers))
	w.readers[i].close()
	w.readers = append(w.readers[:i:i], w.readers[i+1:]...)
	w.openReader(time.Second+time.Duration(w.rng.Int64N(int64(9*time.Second))), false)
}

func (w *simWorld) actObserve() {
	for _, p := range w.up() {
		p.observe()
	}
}

func (w *simWorld) actCompact() {
	if p := w.someWriter(); p != nil {
		p.compact()
	}
}
