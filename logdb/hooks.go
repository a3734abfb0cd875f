package logdb

// hooks let tests see and stop the writer at named steps, and take its
// defences away one at a time. They are zero in the product.
type hooks struct {
	// step is called when the writer has reached a step, before the next.
	step func(name string)
	// off is a defence that is not there: a test shows that its loss is
	// noticed.
	off defence
}

func (h *hooks) at(name string) {
	if h.step != nil {
		h.step(name)
	}
}

// defence names one rule of the protocol.
type defence string

// without reports whether a defence has been switched off.
func (h *hooks) without(d defence) bool { return h.off == d && d != "" }
