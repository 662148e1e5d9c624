package replay

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/wire"
)

// appendLine appends a record as one line of JSON. Bytes that are UTF-8 are a text, others {"base64": text}, and null
// is null.
func appendLine(to []byte, r *kgo.Record, times wire.Times) []byte {
	to = appendText(append(to, `{"topic":`...), []byte(r.Topic))
	to = strconv.AppendInt(append(to, `,"partition":`...), int64(r.Partition), 10)
	to = strconv.AppendInt(append(to, `,"offset":`...), r.Offset, 10)
	to = append(append(append(to, `,"tstype":"`...), times...), '"')
	to = strconv.AppendInt(append(to, `,"ts":`...), r.Timestamp.UnixMilli(), 10)
	if len(r.Headers) > 0 {
		to = append(to, `,"headers":[`...)
		for i, h := range r.Headers {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendBytes(append(appendBytes(to, []byte(h.Key), false), ','), h.Value, h.Value == nil)
		}
		to = append(to, ']')
	}
	to = appendBytes(append(to, `,"key":`...), r.Key, r.Key == nil)
	to = appendBytes(append(to, `,"payload":`...), r.Value, r.Value == nil)
	return append(to, '}', '\n')
}

func appendBytes(to, b []byte, null bool) []byte {
	switch {
	case null:
		return append(to, "null"...)
	case utf8.Valid(b):
		return appendText(to, b)
	}
	to = base64.StdEncoding.AppendEncode(append(to, `{"base64":"`...), b)
	return append(to, '"', '}')
}

// appendText appends bytes that are UTF-8 as a JSON string.
func appendText(to, b []byte) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	for _, c := range b {
		switch {
		case c == '"', c == '\\':
			to = append(to, '\\', c)
		case c == '\n':
			to = append(to, '\\', 'n')
		case c < 0x20:
			to = append(to, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}

// line is what a line holds. What kcat prints beside it is accepted, and says nothing.
type line struct {
	Topic     string  `json:"topic"`
	Partition *int32  `json:"partition"`
	Offset    *int64  `json:"offset"`
	Times     string  `json:"tstype"`
	At        *int64  `json:"ts"`
	Headers   []value `json:"headers"`
	Key       value   `json:"key"`
	Payload   value   `json:"payload"`
	Broker    *int32  `json:"broker"`
}

// value is bytes of a record: nil stands for null, once it was given.
type value struct {
	bytes []byte
	given bool
}

// UnmarshalJSON reads null, a text, or {"base64": text}.
func (v *value) UnmarshalJSON(text []byte) (err error) {
	v.given, v.bytes = true, []byte{}
	switch text[0] {
	case 'n':
		v.bytes = nil
		return nil
	case '"':
		var s string
		if err = wholeText(text); err == nil {
			err = json.Unmarshal(text, &s)
		}
		v.bytes = append(v.bytes, s...)
		return err
	case '{':
		var coded struct {
			Base64 *string `json:"base64"`
		}
		if err = strict(text, &coded); err == nil && coded.Base64 == nil {
			err = errors.New(`it has no "base64"`)
		}
		if err == nil {
			v.bytes, err = base64.StdEncoding.Strict().AppendDecode(v.bytes, []byte(*coded.Base64))
		}
		return err
	}
	return errors.New(`bytes are null, a text, or {"base64": text}`)
}

// wholeText refuses half of a UTF-16 pair, for which a decoder would put another character.
func wholeText(text []byte) error {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if i++; i >= len(text) || text[i] != 'u' {
			continue
		}
		first, ok := unit(text, i+1)
		i += 4
		if !ok || first < 0xd800 || first > 0xdfff {
			continue
		}
		second, paired := unit(text, i+3)
		if first > 0xdbff || !bytes.HasPrefix(text[i+1:], []byte(`\u`)) || !paired || second < 0xdc00 || second > 0xdfff {
			return fmt.Errorf("\\u%04x is half a character", first)
		}
		i += 6
	}
	return nil
}

// unit reads four hexadecimal digits.
func unit(text []byte, at int) (uint64, bool) {
	if at+4 > len(text) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[at:at+4]), 16, 16)
	return n, err == nil
}

// strict decodes one JSON value that has known fields alone.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("something follows")
	}
	return nil
}

// parseLine reads a line; its error says what is wrong with it.
func parseLine(text []byte) (*kgo.Record, error) {
	if !utf8.Valid(text) {
		return nil, errors.New(`it is not UTF-8; such bytes are written as {"base64": text}`)
	}
	var l line
	if err := strict(text, &l); err != nil {
		return nil, err
	}
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"topic", l.Topic != ""}, {"partition", l.Partition != nil && *l.Partition >= 0}, {"ts", l.At != nil},
		{"key", l.Key.given}, {"payload", l.Payload.given},
	} {
		if !field.given {
			return nil, fmt.Errorf("it has no %s", field.name)
		}
	}
	if len(l.Headers)%2 != 0 {
		return nil, errors.New("its headers are not pairs of key and value")
	}
	r := &kgo.Record{Topic: l.Topic, Partition: *l.Partition, Offset: -1, Timestamp: time.UnixMilli(*l.At),
		Key: l.Key.bytes, Value: l.Payload.bytes}
	if l.Offset != nil {
		r.Offset = *l.Offset
	}
	for i := 0; i < len(l.Headers); i += 2 {
		if l.Headers[i].bytes == nil {
			return nil, errors.New("the key of a header is null")
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(l.Headers[i].bytes), Value: l.Headers[i+1].bytes})
	}
	return r, nil
}
