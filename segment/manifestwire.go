package segment

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers, see FORMAT.md. 20 is reserved for catalogs: it is even, so
// that a build without them refuses a manifest that has some.
const (
	manLog            protowire.Number = 1
	manEpoch          protowire.Number = 2
	manDir            protowire.Number = 3
	manDirSince       protowire.Number = 4
	manHost           protowire.Number = 5
	manPID            protowire.Number = 6
	manWrittenMs      protowire.Number = 7
	manClosed         protowire.Number = 8
	manCompactorEpoch protowire.Number = 9
	manFlushed        protowire.Number = 10
	manLimit          protowire.Number = 11
	manLastMs         protowire.Number = 12
	manNextSegment    protowire.Number = 13
	manTrimmedBelow   protowire.Number = 14
	manReplayEpoch    protowire.Number = 15
	manReplayNumber   protowire.Number = 16
	manOldestEpoch    protowire.Number = 17
	manOldestNumber   protowire.Number = 18
	manSegment        protowire.Number = 19

	segID           protowire.Number = 1
	segStart        protowire.Number = 2
	segEnd          protowire.Number = 3
	segSealed       protowire.Number = 4
	segOpenedMs     protowire.Number = 5
	segLastMs       protowire.Number = 6
	segSealedMs     protowire.Number = 7
	segRecords      protowire.Number = 8
	segBytes        protowire.Number = 9
	segMetadata     protowire.Number = 10
	segConsolidated protowire.Number = 11
	segTable        protowire.Number = 12
)

func appendManifest(b []byte, m *Manifest) []byte {
	b = appendID(b, manLog, m.Log)
	b = appendUint(b, manEpoch, m.Epoch)
	b = appendID(b, manDir, m.Dir)
	b = appendUint(b, manDirSince, m.DirSince)
	b = appendBytes(b, manHost, []byte(m.Host))
	b = appendUint(b, manPID, uint64(m.PID))
	b = appendSint(b, manWrittenMs, m.WrittenMs)
	b = appendBool(b, manClosed, m.Closed)
	b = appendUint(b, manCompactorEpoch, m.CompactorEpoch)
	b = appendUint(b, manFlushed, m.Flushed)
	b = appendUint(b, manLimit, m.Limit)
	b = appendSint(b, manLastMs, m.LastMs)
	b = appendUint(b, manNextSegment, m.NextSegment)
	b = appendUint(b, manTrimmedBelow, m.TrimmedBelow)
	b = appendUint(b, manReplayEpoch, m.ReplayEpoch)
	b = appendUint(b, manReplayNumber, m.ReplayNumber)
	b = appendUint(b, manOldestEpoch, m.OldestEpoch)
	b = appendUint(b, manOldestNumber, m.OldestNumber)
	var seg, tab []byte
	for i := range m.Segments {
		seg, tab = appendSegment(seg[:0], &m.Segments[i], tab)
		b = protowire.AppendTag(b, manSegment, protowire.BytesType)
		b = protowire.AppendBytes(b, seg)
	}
	return b
}

func appendSegment(b []byte, s *Segment, scratch []byte) (out, scratchOut []byte) {
	b = appendUint(b, segID, s.ID)
	b = appendUint(b, segStart, s.Start)
	b = appendUint(b, segEnd, s.End)
	b = appendBool(b, segSealed, s.Sealed)
	b = appendSint(b, segOpenedMs, s.OpenedMs)
	b = appendSint(b, segLastMs, s.LastMs)
	b = appendSint(b, segSealedMs, s.SealedMs)
	b = appendUint(b, segRecords, s.Records)
	b = appendUint(b, segBytes, s.Bytes)
	b = appendBytes(b, segMetadata, s.Metadata)
	b = appendBool(b, segConsolidated, s.Consolidated)
	for i := range s.Tables {
		scratch = appendTable(scratch[:0], &s.Tables[i], s.Tables[i].Segment != s.ID)
		b = protowire.AppendTag(b, segTable, protowire.BytesType)
		b = protowire.AppendBytes(b, scratch)
	}
	return b, scratch
}

func (m *Manifest) decode(b []byte) error {
	return eachField("manifest", b, func(f field) bool {
		switch f.num {
		case manLog:
			m.Log = f.id()
		case manEpoch:
			m.Epoch = f.uint()
		case manDir:
			m.Dir = f.id()
		case manDirSince:
			m.DirSince = f.uint()
		case manHost:
			m.Host = string(f.bytes())
		case manPID:
			if v := f.uint(); v <= math.MaxInt32 {
				m.PID = int(v)
			} else {
				f.fail("got pid %d, want at most %d", v, math.MaxInt32)
			}
		case manWrittenMs:
			m.WrittenMs = f.sint()
		case manClosed:
			m.Closed = f.bool()
		default:
			return m.decodeState(f)
		}
		return true
	})
}

func (m *Manifest) decodeState(f field) bool {
	switch f.num {
	case manCompactorEpoch:
		m.CompactorEpoch = f.uint()
	case manFlushed:
		m.Flushed = f.uint()
	case manLimit:
		m.Limit = f.uint()
	case manLastMs:
		m.LastMs = f.sint()
	case manNextSegment:
		m.NextSegment = f.uint()
	case manTrimmedBelow:
		m.TrimmedBelow = f.uint()
	case manReplayEpoch:
		m.ReplayEpoch = f.uint()
	case manReplayNumber:
		m.ReplayNumber = f.uint()
	case manOldestEpoch:
		m.OldestEpoch = f.uint()
	case manOldestNumber:
		m.OldestNumber = f.uint()
	case manSegment:
		if f.want(protowire.BytesType) {
			var s Segment
			if err := s.decode(f.data); err != nil {
				*f.bad = err
			}
			m.Segments = append(m.Segments, s)
		}
	default:
		return false
	}
	return true
}

func (s *Segment) decode(b []byte) error {
	err := eachField("segment", b, func(f field) bool {
		switch f.num {
		case segID:
			s.ID = f.uint()
		case segStart:
			s.Start = f.uint()
		case segEnd:
			s.End = f.uint()
		case segSealed:
			s.Sealed = f.bool()
		case segOpenedMs:
			s.OpenedMs = f.sint()
		case segLastMs:
			s.LastMs = f.sint()
		case segSealedMs:
			s.SealedMs = f.sint()
		case segRecords:
			s.Records = f.uint()
		case segBytes:
			s.Bytes = f.uint()
		case segMetadata:
			s.Metadata = f.bytes()
		case segConsolidated:
			s.Consolidated = f.bool()
		case segTable:
			s.decodeTable(f)
		default:
			return false
		}
		return true
	})
	// The segment's id may follow its tables, and they name none unless it is another.
	for i := range s.Tables {
		if s.Tables[i].Segment == 0 {
			s.Tables[i].Segment = s.ID
		}
	}
	return err
}

func (s *Segment) decodeTable(f field) {
	if !f.want(protowire.BytesType) {
		return
	}
	t, err := decodeTable(f.data)
	if err != nil {
		*f.bad = err
	}
	s.Tables = append(s.Tables, t)
}
