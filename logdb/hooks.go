package logdb

// hooks let tests see and stop the writer at named steps. They are nil in the
// product.
type hooks struct {
	// step is called when the writer has reached a step, before the next.
	step func(name string)
}

func (h *hooks) at(name string) {
	if h.step != nil {
		h.step(name)
	}
}
