package wire

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

var oldCodecs = []kgo.CompressionCodecType{kgo.CodecNone, kgo.CodecGzip, kgo.CodecSnappy, kgo.CodecLz4}

// set0 and set1 put messages into one that is compressed.
func set0(t *testing.T, codec kgo.CompressionCodecType, offset int64, messages ...[]byte) Batch {
	t.Helper()
	return message0(offset, int8(codec), nil, pack(t, codec, slices.Concat(messages...)))
}

func set1(t *testing.T, codec kgo.CompressionCodecType, offset, at int64, bits int8, messages ...[]byte) Batch {
	t.Helper()
	return message1(offset, at, int8(codec)|bits, nil, pack(t, codec, slices.Concat(messages...)))
}

// TestOldFormatsAreRebuilt: messages of both older formats become records, as a consumer reads them.
func TestOldFormatsAreRebuilt(t *testing.T) {
	k, v := []byte("key"), []byte("value")
	cases := map[string]Batch{
		"magic 0":             message0(5, 0, k, v),
		"magic 0, null":       message0(5, 0, nil, nil),
		"magic 0, empty":      message0(5, 0, []byte{}, []byte{}),
		"magic 1":             message1(5, 1000, 0, k, v),
		"magic 1, null":       message1(5, -1, 0, nil, nil),
		"magic 1, empty":      message1(5, -1000, 0, []byte{}, []byte{}),
		"magic 1, its broker": message1(5, 1000, 8, k, v),
	}
	for _, codec := range oldCodecs[1:] {
		cases["set of magic 0, "+codecs[codec]] = set0(t, codec, 7, message0(5, 0, k, v), message0(7, 0, nil, v))
		cases["set of magic 1, "+codecs[codec]] = set1(t, codec, 7, 2000, 0,
			message1(0, 1000, 0, k, v), message1(1, 2000, 0, nil, v), message1(2, 1500, 0, []byte{}, nil))
		cases["set of magic 1 with a hole, "+codecs[codec]] = set1(t, codec, 9, 2000, 0,
			message1(0, 1000, 0, k, v), message1(4, 2000, 0, nil, v))
		cases["set of magic 1 with its first gone, "+codecs[codec]] = set1(t, codec, 9, 2000, 0,
			message1(3, 1000, 0, k, v), message1(4, 2000, 0, nil, v))
		cases["set of magic 1 from the beginning, "+codecs[codec]] = set1(t, codec, 0, 2000, 0,
			message1(0, 1000, 0, k, v))
		cases["set of an old librdkafka, "+codecs[codec]] = set1(t, codec, 0, 2000, 0,
			message1(0, 1000, 0, k, v), message1(1, 2000, 0, k, v))
	}
	for what, raw := range cases {
		b, rest, err := Next(raw)
		if err != nil || len(rest) != 0 || b.Obstacle() != OldMagic {
			t.Fatalf("%s: Next: %v, %d bytes too many, %q", what, err, len(rest), b.Obstacle())
		}
		for _, from := range []int64{0, 5, 6, 7, 8, 9, 10} {
			for _, most := range []int{0, 1} {
				same(t, fmt.Sprintf("%s, from %d, at most %d", what, from, most), ours(t, b, from, most), theirs(t, b, from))
			}
		}
		if made, _, err := Rebuild(b, 0, 0); err != nil || made[0].Batch.Codec() != b.Codec() {
			t.Errorf("%s: codec %d became %d: %v", what, b.Codec(), made[0].Batch.Codec(), err)
		}
	}
}

// Here franz-go's consumer and Java's disagree, and Java's is right: a broker writes its own
// time into the outer message only. And times beyond the year 2262 stay what they are.
func TestTimesOfOldFormats(t *testing.T) {
	for _, codec := range oldCodecs[1:] {
		b := set1(t, codec, 9, 7777, 8, message1(0, 1000, 0, nil, nil), message1(1, 2000, 0, nil, nil))
		same(t, codecs[codec], ours(t, b, 0, 0), []string{"8@7777 null=null", "9@7777 null=null"})
	}
	for _, at := range []int64{math.MaxInt64, math.MinInt64, 1_700_000_000_000_000} {
		same(t, fmt.Sprint(at), ours(t, message1(3, at, 0, nil, nil), 0, 0), []string{fmt.Sprintf("3@%d null=null", at)})
		b := set1(t, kgo.CodecGzip, 9, at, 0, message1(0, at, 0, nil, nil))
		same(t, fmt.Sprint(at), ours(t, b, 0, 0), []string{fmt.Sprintf("9@%d null=null", at)})
	}
	same(t, "magic 0", ours(t, message0(3, 0, nil, nil), 0, 0), []string{"3@-1 null=null"})
}

func TestDamagedOldFormatsAreRefused(t *testing.T) {
	one, two := message1(0, 1, 0, nil, []byte("a")), message1(1, 1, 0, nil, []byte("b"))
	damaged := slices.Clone(two)
	damaged[len(damaged)-1]++
	gzip := kgo.CodecGzip
	for _, c := range []struct {
		why, says string
		b         Batch
	}{
		{"damaged", "message at offset 1 is damaged", damaged},
		{"nothing behind its magic", "is damaged", append(make(Batch, 11), 5, 0, 0, 0, 0, 0)},
		{"value longer than the message", "", spoilt(message0(1, 0, nil, []byte("abc")), 22, 9)},
		{"negative magic", "magic -1", spoilt(message0(1, 0, nil, nil), atMagic, 0xff)},
		{"damaged inside", "is damaged", set1(t, gzip, 9, 1, 0, one, damaged)},
		{"cut short inside", "cut short", set1(t, gzip, 9, 1, 0, one, two[:len(two)-1])},
		{"cut short to nothing", "holds none", set1(t, gzip, 9, 1, 0)},
		{"no value", "", message1(9, 1, 1, nil, nil)},
		{"a batch of today inside", "is damaged", set1(t, gzip, 300, 1, 0, unhex(t, golden))},
		{"set in a set", "holds another", set1(t, gzip, 9, 1, 0, set1(t, gzip, 9, 1, 0, one))},
		{"its last offset before those inside", "holds offset 5", set1(t, gzip, 2, 1, 0, message1(5, 1, 0, nil, nil))},
		{"offsets fall", "comes after", set1(t, gzip, 9, 1, 0, two, one)},
		{"offsets fall, magic 0", "comes after", set0(t, gzip, 9, message0(9, 0, nil, nil), message0(8, 0, nil, nil))},
		{"not gzip", "", message1(9, 1, 1, nil, []byte("no"))},
	} {
		b, _, err := Next(c.b)
		if err != nil {
			t.Fatalf("%s: %v", c.why, err)
		}
		if made, _, err := Rebuild(b, 0, 0); err == nil || made != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Rebuild(%x) = %v, %v; want an error that says %q", c.why, []byte(b), made, err, c.says)
		}
	}
}

// spoilt changes one byte of a message and makes its checksum right again.
func spoilt(raw []byte, at int, to byte) Batch {
	raw[at] = to
	sealOld(raw)
	return raw
}
