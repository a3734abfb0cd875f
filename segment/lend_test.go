package segment

import "testing"

// What is lent leaves both budgets, blocks and tables make room for it, and
// they have all of it again when it is given back.
func TestLendMakesRoom(t *testing.T) {
	const data, meta = 8 << 20, 2 << 20
	c := NewCache(data, meta)
	defer c.Close()
	fill := func(bytes int64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for n := uint64(0); n < 64; n++ {
			o := &openTable{key: tableKey{segment: n}, bytes: bytes}
			o.elem = c.mu.lru.PushFront(o)
			c.mu.tables[o.key] = o
			c.mu.used += o.bytes
		}
		c.evictLocked()
	}
	fill(meta / 32)
	for _, step := range []struct{ lent, meta int64 }{{0, meta}, {5 << 20, meta / 2}, {10 << 20, 0}, {5 << 20, 0}} {
		c.Lend(step.lent)
		if s := c.Stats(); s.LentBytes != step.lent || s.MetaBytes != step.meta {
			t.Errorf("%d bytes lent: stats say %d, and %d bytes of tables, want %d", step.lent, s.LentBytes, s.MetaBytes, step.meta)
		}
	}
	c.Lend(0)
	fill(meta / 32)
	if s := c.Stats(); s.MetaBytes != meta {
		t.Errorf("given back: %d bytes of tables, want %d", s.MetaBytes, meta)
	}
}
