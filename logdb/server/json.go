package server

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// appendJSON writes a message as OpenData Log's server does, which is not
// ProtoJSON: 64-bit numbers are numbers, unless asked to be strings, and fields
// with their zero value are there. Absent are only those that have presence.
func appendJSON(b []byte, m protoreflect.Message, u64Strings bool) []byte {
	b = append(b, '{')
	fields := m.Descriptor().Fields()
	first := true
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.HasPresence() && !m.Has(f) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, f.JSONName()...)
		b = append(b, '"', ':')
		if !f.IsList() {
			b = appendValue(b, f, m.Get(f), u64Strings)
			continue
		}
		b = append(b, '[')
		list := m.Get(f).List()
		for j := range list.Len() {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, f, list.Get(j), u64Strings)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendValue(b []byte, f protoreflect.FieldDescriptor, v protoreflect.Value, u64Strings bool) []byte {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool())
	case protoreflect.Uint64Kind:
		return appendU64(b, v.Uint(), u64Strings)
	case protoreflect.Int64Kind, protoreflect.Int32Kind:
		return strconv.AppendInt(b, v.Int(), 10)
	case protoreflect.BytesKind:
		return appendBytes(b, v.Bytes())
	case protoreflect.DoubleKind:
		return strconv.AppendFloat(b, v.Float(), 'f', -1, 64)
	case protoreflect.EnumKind:
		return appendString(b, string(f.Enum().Values().ByNumber(v.Enum()).Name()))
	case protoreflect.MessageKind:
		return appendJSON(b, v.Message(), u64Strings)
	}
	return appendString(b, v.String())
}

func appendU64(b []byte, n uint64, asString bool) []byte {
	if !asString {
		return strconv.AppendUint(b, n, 10)
	}
	b = append(b, '"')
	b = strconv.AppendUint(b, n, 10)
	return append(b, '"')
}

func appendBytes(b, bytes []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, bytes)
	return append(b, '"')
}

// appendString quotes text. Bytes that are no UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f || r == '<' || r == '>' || r == '&': // also safe inside HTML
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
