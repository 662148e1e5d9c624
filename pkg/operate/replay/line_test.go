package replay

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/wire"
)

// odd are records with whatever a client may put into one.
func odd() []*kgo.Record {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	return []*kgo.Record{
		{Key: []byte("k"), Value: []byte("v"), Timestamp: at(1_700_000_000_000)},
		{Timestamp: at(-1)},
		{Key: []byte{}, Value: []byte{}, Timestamp: at(0)},
		{Key: all, Value: all[128:], Timestamp: at(math.MaxInt64)},
		{Value: []byte("\x00\x1f\"\\\n\r\t\u2028\U0001F600\ufffd"), Timestamp: at(math.MinInt64 + 1)},
		{Value: []byte{0xed, 0xa0, 0x80}, Timestamp: at(1), Headers: []kgo.RecordHeader{
			{Key: "twice", Value: []byte("1")}, {Key: "twice", Value: nil}, {Key: "", Value: []byte{}},
			{Key: "\xff", Value: []byte{0xfe}}, {Key: "twice", Value: []byte("{\"base64\":\"\"}")}}},
	}
}

// Whatever a record holds comes back from its line.
func TestLineIsExact(t *testing.T) {
	for i, want := range odd() {
		want.Topic, want.Partition, want.Offset = "orders", 3, int64(i)
		text := appendLine(nil, want, wire.Created)
		if n := bytes.Count(text, []byte{'\n'}); n != 1 || text[len(text)-1] != '\n' {
			t.Errorf("record %d has %d lines: %q", i, n, text)
		}
		got, err := parseLine(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("record %d: %v\n got %+v\nwant %+v\n%s", i, err, got, want, text)
		}
	}
}

// The bytes of docs/FORMATS.md.
func TestLineOfThePage(t *testing.T) {
	r := &kgo.Record{Topic: "orders", Partition: 3, Offset: 42, Timestamp: time.UnixMilli(1_700_000_000_000),
		Key: []byte("k"), Value: []byte{0xff, 0}, Headers: []kgo.RecordHeader{{Key: "a", Value: []byte{}}, {Key: "a"}}}
	const want = `{"topic":"orders","partition":3,"offset":42,"tstype":"create","ts":1700000000000,` +
		`"headers":["a","","a",null],"key":"k","payload":{"base64":"/wA="}}` + "\n"
	if got := string(appendLine(nil, r, wire.Created)); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestLinesThatAreRefused(t *testing.T) {
	const rest = `"partition":0,"ts":1,"key":null,`
	for text, why := range map[string]string{
		``:                                       "EOF",
		`{"topic":"t",` + rest + `"payload":"a"`: "unexpected EOF",
		`{"topic":"t",` + rest + `"payload":"a"} {}`:                                        "something follows",
		`{"topic":"t",` + rest + `"payload":"` + "\xff" + `"}`:                              "it is not UTF-8",
		`{"topic":"t",` + rest + `"payload":"\ud83d"}`:                                      "half a character",
		`{"topic":"t",` + rest + `"payload":"\ude00\ud83d"}`:                                "half a character",
		`{"topic":"t",` + rest + `"payload":"\ud83dx"}`:                                     "half a character",
		`{"topic":"t",` + rest + `"payload":7}`:                                             "bytes are null, a text",
		`{"topic":"t",` + rest + `"payload":{}}`:                                            `it has no "base64"`,
		`{"topic":"t",` + rest + `"payload":{"base64":"_w=="}}`:                             "illegal base64",
		`{"topic":"t",` + rest + `"payload":{"base64":"","more":1}}`:                        "unknown field",
		`{"topic":"t",` + rest + `"value":"a"}`:                                             "unknown field",
		`{"topic":"t",` + rest[:len(rest)-1] + `}`:                                          "it has no payload",
		`{` + rest + `"payload":"a"}`:                                                       "it has no topic",
		`{"topic":"t","ts":1,"key":null,"payload":""}`:                                      "it has no partition",
		`{"topic":"t","partition":-1,"ts":1,"key":null,"payload":""}`:                       "it has no partition",
		`{"topic":"t","partition":0,"key":null,"payload":""}`:                               "it has no ts",
		`{"topic":"t","partition":0,"ts":1,"payload":""}`:                                   "it has no key",
		`{"topic":"t",` + rest + `"payload":"","headers":["a"]}`:                            "not pairs",
		`{"topic":"t",` + rest + `"payload":"","headers":[null,"a"]}`:                       "key of a header is null",
		`{"topic":"t","partition":99999999999,"ts":1,"key":null,"payload":"","offset":1.5}`: "cannot unmarshal",
	} {
		if r, err := parseLine([]byte(text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %+v, %v, want %q", text, r, err, why)
		}
	}
	whole := `{"topic":"t","partition":0,"offset":5,"tstype":"create","ts":1,"broker":1,` +
		`"key":"\ud83d\ude00","payload":"\\ud83d"}`
	if r, err := parseLine([]byte(whole)); err != nil || string(r.Key) != "\U0001F600" || string(r.Value) != `\ud83d` {
		t.Errorf("%s: %+v, %v", whole, r, err)
	}
}
