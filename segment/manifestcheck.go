package segment

import (
	"errors"
	"fmt"
)

// Validate checks every invariant that a manifest can show by itself. It is
// part of decoding, and writers call it before they encode.
func (m *Manifest) Validate() error {
	if err := m.validateHead(); err != nil {
		return fmt.Errorf("segment: manifest version %d: %w", m.Version, err)
	}
	seen := make(map[TableID]string)
	end, trimmed := uint64(0), m.TrimmedBelow
	for i := range m.Segments {
		s := &m.Segments[i]
		err := m.validateSegment(s, end, i == len(m.Segments)-1)
		if err == nil && i > 0 && s.ID <= m.Segments[i-1].ID {
			err = invalid("id", s.ID, fmt.Sprintf("above %d", m.Segments[i-1].ID))
		}
		if err == nil && s.Start < trimmed {
			err = invalid("start", s.Start, fmt.Sprintf("at or above trimmed-below %d", trimmed))
		}
		for j := 0; err == nil && j < len(s.Tables); j++ {
			err = m.validateTable(s, &s.Tables[j], seen)
		}
		if err != nil {
			return fmt.Errorf("segment: manifest version %d: segment %d: %w", m.Version, s.ID, err)
		}
		end = s.End
	}
	return nil
}

func invalid(what string, got, want any) error {
	return fmt.Errorf("%s: got %v, want %v: %w", what, got, want, errInvalid)
}

func (m *Manifest) validateHead() error {
	switch {
	case m.Log.IsZero():
		return invalid("log id", "none", "one")
	case m.Nonce.IsZero():
		return invalid("nonce", "none", "one")
	case m.DirSince > m.Epoch:
		return invalid("first epoch of the directory", m.DirSince, fmt.Sprintf("at most epoch %d", m.Epoch))
	case m.TrimmedBelow > m.Flushed:
		return invalid("trimmed-below", m.TrimmedBelow, fmt.Sprintf("at most flushed %d", m.Flushed))
	case m.Closed && m.Limit < m.Flushed:
		return invalid("limit of a closed log", m.Limit, fmt.Sprintf("at least flushed %d", m.Flushed))
	case m.ReplayEpoch > m.Epoch:
		return invalid("replay epoch", m.ReplayEpoch, fmt.Sprintf("at most epoch %d", m.Epoch))
	case m.OldestEpoch > m.ReplayEpoch || m.OldestEpoch == m.ReplayEpoch && m.OldestNumber > m.ReplayNumber:
		return invalid("oldest WAL object", fmt.Sprintf("(%d, %d)", m.OldestEpoch, m.OldestNumber),
			fmt.Sprintf("at most replay (%d, %d)", m.ReplayEpoch, m.ReplayNumber))
	case m.PID < 0:
		return invalid("pid", m.PID, "at least 0")
	}
	return nil
}

func (m *Manifest) validateSegment(s *Segment, prevEnd uint64, last bool) error {
	switch {
	case s.ID >= m.NextSegment:
		return invalid("id", s.ID, fmt.Sprintf("below next segment %d", m.NextSegment))
	case s.Start < prevEnd:
		return invalid("start", s.Start, fmt.Sprintf("at or above the end %d of the one before", prevEnd))
	case !s.Sealed && !last:
		return errors.Join(errInvalid, errors.New("open, and not the last"))
	case s.Sealed && s.End < s.Start:
		return invalid("end", s.End, fmt.Sprintf("at or above start %d", s.Start))
	case s.Consolidated && !s.Sealed:
		return errors.Join(errInvalid, errors.New("consolidated, and not sealed"))
	}
	return nil
}

func (m *Manifest) validateTable(s *Segment, t *Table, seen map[TableID]string) error {
	if err := t.check(); err != nil {
		return err
	}
	epoch := m.Epoch
	if t.ID.Compacted {
		epoch = m.CompactorEpoch
	}
	name := t.Name()
	switch {
	case t.Segment != s.ID:
		return invalid("table "+name, fmt.Sprintf("segment %d", t.Segment), s.ID)
	case t.ID.Epoch > epoch:
		return invalid("epoch of table "+name, t.ID.Epoch, fmt.Sprintf("at most %d", epoch))
	case t.Start < s.Start || s.Sealed && t.End > s.End:
		return invalid("sequences of table "+name, fmt.Sprintf("[%d, %d)", t.Start, t.End), fmt.Sprintf("inside [%d, %d)", s.Start, s.End))
	case t.End > m.Flushed:
		return invalid("end of table "+name, t.End, fmt.Sprintf("at most flushed %d", m.Flushed))
	case seen[t.ID] != "":
		return invalid("table id "+t.ID.String(), name, "only "+seen[t.ID])
	}
	seen[t.ID] = name
	return nil
}
