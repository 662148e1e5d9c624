package judge

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// describe says in what two records differ, each field as source -> target.
func describe(source, target *kgo.Record) string {
	var found []string
	add := func(name, s, t string) { found = append(found, fmt.Sprintf("%s %s -> %s", name, s, t)) }
	if !same(source.Key, target.Key) {
		add("key", show(source.Key), show(target.Key))
	}
	if !same(source.Value, target.Value) {
		add("value", show(source.Value), show(target.Value))
	}
	if s, t := source.Timestamp.UnixMilli(), target.Timestamp.UnixMilli(); s != t {
		add("timestamp", fmt.Sprint(s), fmt.Sprint(t))
	}
	if len(source.Headers) != len(target.Headers) {
		add("number of headers", fmt.Sprint(len(source.Headers)), fmt.Sprint(len(target.Headers)))
	}
	for i := range min(len(source.Headers), len(target.Headers)) {
		s, t := source.Headers[i], target.Headers[i]
		if s.Key != t.Key {
			add(fmt.Sprintf("headers[%d] key", i), show([]byte(s.Key)), show([]byte(t.Key)))
		}
		if !same(s.Value, t.Value) {
			add(fmt.Sprintf("headers[%d] %q", i, s.Key), show(s.Value), show(t.Value))
		}
	}
	return strings.Join(found, ", ")
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// show quotes the beginning of some bytes, and keeps null and empty apart.
func show(b []byte) string {
	const limit = 40
	switch {
	case b == nil:
		return "null"
	case len(b) == 0:
		return "empty"
	case len(b) > limit:
		return fmt.Sprintf("%q... (%d bytes)", b[:limit], len(b))
	}
	return fmt.Sprintf("%q", b)
}
