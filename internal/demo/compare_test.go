package demo

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func records(text string) []record {
	var list []record
	for i, content := range strings.Fields(text) {
		list = append(list, record{int64(i), content})
	}
	return list
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		want, got string
		is        difference
	}{
		{"", "", difference{}},
		{"a b c", "a b c", difference{}},
		{"a a b", "a a b", difference{}}, // alike on the source already
		{"a b c", "a c", difference{lost: 1}},
		{"a b c", "", difference{lost: 3}},
		{"a b c", "a b b c", difference{repeated: 1}},
		{"a b c", "a b a b c", difference{repeated: 2}}, // a group that is set back
		{"a b c", "a X c", difference{lost: 1, strange: 1}},
		{"a b c", "a b c X", difference{strange: 1}},
		{"a b c", "b a c", difference{displaced: 1}},
		{"a b c d", "d a b c", difference{displaced: 3}},
		{"a b c", "c a b b", difference{displaced: 2, repeated: 1}},
	} {
		if got := compare(records(c.want), records(c.got)); got != c.is {
			t.Errorf("compare(%q, %q) = %+v, want %+v", c.want, c.got, got, c.is)
		}
	}
}

// What must arrive unchanged is in the content: records that differ in one thing differ there.
func TestContent(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	header := func(key string, value []byte) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: value} }
	seen := map[string]string{}
	for name, r := range map[string]*kgo.Record{
		"null key":       {Value: []byte("v"), Timestamp: at},
		"empty key":      {Key: []byte{}, Value: []byte("v"), Timestamp: at},
		"key":            {Key: []byte("v"), Timestamp: at},
		"shifted":        {Key: []byte("v"), Value: []byte{}, Timestamp: at},
		"time":           {Value: []byte("v"), Timestamp: at.Add(time.Millisecond)},
		"header":         {Value: []byte("v"), Timestamp: at, Headers: []kgo.RecordHeader{header("a", []byte{})}},
		"null header":    {Value: []byte("v"), Timestamp: at, Headers: []kgo.RecordHeader{header("a", nil)}},
		"no header name": {Value: []byte("v"), Timestamp: at, Headers: []kgo.RecordHeader{header("", []byte("a"))}},
		"two headers": {Value: []byte("v"), Timestamp: at,
			Headers: []kgo.RecordHeader{header("a", nil), header("b", nil)}},
		"other order": {Value: []byte("v"), Timestamp: at,
			Headers: []kgo.RecordHeader{header("b", nil), header("a", nil)}},
	} {
		content := contentOf(r)
		if other, double := seen[content]; double {
			t.Errorf("%s and %s have the same content", name, other)
		}
		seen[content] = name
	}
}

// The data holds what the demonstration says it shows, and no two records are alike.
func TestRecords(t *testing.T) {
	l := &loader{dice: rand.New(rand.NewPCG(seedHigh, seedLow)), base: time.UnixMilli(1_700_000_000_000)}
	seen, kinds := map[string]bool{}, map[string]int{}
	for range plainRecords {
		r := l.record(plainTopic, plainPartitions)
		seen[contentOf(r)] = true
		for kind, is := range map[string]bool{
			"null key": r.Key == nil, "empty key": r.Key != nil && len(r.Key) == 0,
			"null value": r.Value == nil, "empty value": r.Value != nil && len(r.Value) == 0,
			"large value": len(r.Value) == largeBytes, "repeated headers": len(r.Headers) > 2,
		} {
			if is {
				kinds[kind]++
			}
		}
	}
	if len(seen) != plainRecords {
		t.Errorf("%d of %d records are different", len(seen), plainRecords)
	}
	for _, kind := range []string{
		"null key", "empty key", "null value", "empty value", "large value", "repeated headers",
	} {
		if kinds[kind] == 0 {
			t.Errorf("no record has: %s", kind)
		}
	}
}

func TestPaper(t *testing.T) {
	for n, want := range map[int]string{
		0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -999: "-999", -1000: "-1,000",
	} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
	var out strings.Builder
	p := newPaper(&out)
	if p.fancy {
		t.Error("a strings.Builder is no terminal")
	}
	p.fancy = true
	p.begin("load", "records")
	p.end("load", "3 records")
	want := "\r\x1b[K  load     \x1b[2mrecords ...\x1b[0m\r\x1b[K  load     3 records\n"
	if got := out.String(); got != want {
		t.Errorf("on a terminal: got %q, want %q", got, want)
	}
}
