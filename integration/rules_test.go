package integration

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// rule is one thing that a target might be sent, and what it makes of it.
// docs/FORMATS.md tells the same, in "What a target takes".
type rule struct {
	sent  string
	topic string                                 // a name of ruleTopics; empty: a topic with every default
	spoil func(h *handmade)                      // what is done to three good records
	field func(good []byte, other []byte) []byte // instead: the records field, of two good batches
	twice bool                                   // the partition is listed again, with the other batch
	want  string                                 // the answer; after a colon, what is stored otherwise
	older string                                 // where 3.9 does it otherwise
}

const mostBytes = 1000 // in the topics with a limit

var ruleTopics = map[string]map[string]string{
	"plain":        nil,
	"append time":  {"message.timestamp.type": "LogAppendTime"},
	"compacted":    {"cleanup.policy": "compact"},
	"small":        {"max.message.bytes": fmt.Sprint(mostBytes)},
	"small loose":  {"max.message.bytes": fmt.Sprint(mostBytes), "compression.type": "uncompressed"},
	"gzip":         {"compression.type": "gzip"},
	"uncompressed": {"compression.type": "uncompressed"},
	"no limits":    workload.KeepConfigs(),
	"kept":         {"retention.ms": "-1"}, // or the cleaner may be faster than the look at it
	"young":        {"message.timestamp.before.max.ms": "600000"},
}

func zstd(h *handmade) { h.codec = kgo.ZstdCompression() }

// holes leaves records 0, 2 and 4 of five.
func holes(h *handmade) {
	for i := range h.inside {
		h.inside[i].OffsetDelta = int32(2 * i)
	}
}

// sized makes the whole batch so many bytes.
func sized(bytes int) func(h *handmade) {
	return func(h *handmade) {
		h.inside, h.NumRecords, h.LastOffsetDelta, h.MaxTimestamp = h.inside[:1], 1, 0, h.FirstTimestamp
		const header, ofRecord = 61, 2 + 1 + 1 + 1 + 1 + 5 + 2 + 1 // lengths above 63 bytes take two
		h.inside[0].Value = make([]byte, bytes-header-ofRecord)
	}
}

func later(d time.Duration) func(h *handmade) {
	return func(h *handmade) {
		h.FirstTimestamp += d.Milliseconds()
		h.MaxTimestamp += d.Milliseconds()
	}
}

var rules = []rule{
	{sent: "three records", want: "OK: as sent"},
	{sent: "base offset 7", spoil: func(h *handmade) { h.FirstOffset = 7 }, want: "INVALID_RECORD"},
	{sent: "leader epoch 77", spoil: func(h *handmade) { h.PartitionLeaderEpoch = 77 }, want: "OK: as sent"},

	{sent: "control bit", spoil: func(h *handmade) { h.Attributes |= 0x20 }, want: "INVALID_RECORD"},
	{sent: "transactional bit outside a transaction", spoil: func(h *handmade) { h.Attributes |= 0x10 },
		want: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"},
	{sent: "delete horizon bit", spoil: func(h *handmade) { h.Attributes |= 0x40 }, want: "OK: as sent"},
	{sent: "attribute bit 7", spoil: func(h *handmade) { h.Attributes |= 0x80 }, want: "OK: as sent"},
	{sent: "codec 5", spoil: func(h *handmade) { h.Attributes |= 5 }, want: "UNKNOWN_SERVER_ERROR"},

	{sent: "LogAppendTime bit to CreateTime", spoil: func(h *handmade) { h.Attributes |= 0x08 },
		want: "OK: attributes 8 became 0"},
	{sent: "LogAppendTime bit to LogAppendTime", topic: "append time", spoil: func(h *handmade) { h.Attributes |= 0x08 },
		want: "INVALID_TIMESTAMP"},
	{sent: "create times to LogAppendTime", topic: "append time",
		want: "OK: attributes 0 became 8, max timestamp 2 became the time of writing"},

	{sent: "holes", spoil: func(h *handmade) { holes(h); h.LastOffsetDelta = 4 }, want: "INVALID_RECORD"},
	{sent: "holes, header made dense", spoil: holes, want: "OK: as sent"},
	{sent: "holes, header made dense, zstd", spoil: func(h *handmade) { holes(h); zstd(h) },
		want: "UNKNOWN_SERVER_ERROR"},
	{sent: "last offset delta too low", spoil: func(h *handmade) { h.LastOffsetDelta = 1 }, want: "INVALID_RECORD"},
	{sent: "no record, offsets 0 to 2", spoil: func(h *handmade) { h.inside, h.NumRecords = nil, 0 },
		want: "INVALID_RECORD"},
	{sent: "no record, no offset", spoil: func(h *handmade) { h.inside, h.NumRecords, h.LastOffsetDelta = nil, 0, -1 },
		want: "INVALID_RECORD"},
	{sent: "one record more in the header than inside", spoil: func(h *handmade) { h.inside = h.inside[:2] },
		want: "INVALID_RECORD"},
	{sent: "one record more inside than in the header",
		spoil: func(h *handmade) { h.NumRecords, h.LastOffsetDelta = 2, 1 }, want: "INVALID_RECORD"},

	{sent: "magic 1 in a batch of magic 2", spoil: func(h *handmade) { h.Magic = 1 }, want: "INVALID_RECORD"},
	{sent: "a message of magic 1", field: func(_, _ []byte) []byte { return oldMessage(1) }, want: "INVALID_RECORD"},
	{sent: "a message of magic 0", field: func(_, _ []byte) []byte { return oldMessage(0) }, want: "INVALID_RECORD"},
	{sent: "wrong checksum", spoil: func(h *handmade) { h.spoil = func(b []byte) []byte { b[17]++; return b } },
		want: "CORRUPT_MESSAGE"},
	{sent: "three bytes after the batch", field: func(good, _ []byte) []byte { return append(good, 0, 0, 0) },
		want: "OK: as sent"}, // without them
	{sent: "many bytes after the batch", field: func(good, _ []byte) []byte { return append(good, make([]byte, 20)...) },
		want: "CORRUPT_MESSAGE"},
	{sent: "a batch cut short", field: func(good, _ []byte) []byte { return good[:len(good)-3] },
		want: "INVALID_RECORD"},
	{sent: "two batches", field: func(good, other []byte) []byte { return append(good, other...) },
		want: "INVALID_RECORD"},
	{sent: "the partition twice", twice: true, want: "OK: as sent"},

	{sent: "as large as it may be", topic: "small", spoil: sized(mostBytes), want: "OK: as sent"},
	{sent: "a byte larger", topic: "small", spoil: sized(mostBytes + 1), want: "MESSAGE_TOO_LARGE"},
	{sent: "small only while it is compressed", topic: "small",
		spoil: func(h *handmade) { sized(mostBytes + 1)(h); zstd(h) }, want: "OK: as sent"},
	{sent: "small only while it is compressed, to an uncompressed topic", topic: "small loose",
		spoil: func(h *handmade) { sized(mostBytes + 1)(h); zstd(h) }, want: "MESSAGE_TOO_LARGE"},
	{sent: "zstd to a gzip topic", topic: "gzip", spoil: zstd, want: "OK: attributes 4 became 1, other bytes"},
	{sent: "zstd to an uncompressed topic", topic: "uncompressed", spoil: zstd,
		want: "OK: attributes 4 became 0, other bytes"},

	{sent: "two hours ahead", spoil: later(3 * time.Hour), want: "INVALID_TIMESTAMP", older: "OK: as sent"},
	{sent: "a century ahead, without a limit", topic: "no limits", spoil: later(876_000 * time.Hour), want: "OK: as sent"},
	{sent: "a month old", topic: "kept", spoil: later(-720 * time.Hour), want: "OK: as sent"},
	{sent: "older than before.max", topic: "young", want: "INVALID_TIMESTAMP"},
	{sent: "time -1", topic: "no limits", spoil: func(h *handmade) {
		h.FirstTimestamp, h.MaxTimestamp = -1, -1
		h.inside[1].TimestampDelta64, h.inside[2].TimestampDelta64 = 0, 0
	}, want: "OK: as sent"},
	{sent: "max timestamp too high", spoil: func(h *handmade) { h.MaxTimestamp += 60_000 },
		want: "OK: max timestamp 60002 became 2"},
	{sent: "base timestamp moved by a minute", spoil: later(time.Minute), want: "OK: as sent"},

	{sent: "no key to a compacted topic", topic: "compacted", spoil: func(h *handmade) { h.inside[1].Key = nil },
		want: "INVALID_RECORD"},
	{sent: "producer id without a sequence", spoil: func(h *handmade) { h.ProducerID, h.ProducerEpoch = 4242, 3 },
		want: "INVALID_RECORD"},
	{sent: "a made-up producer",
		spoil: func(h *handmade) { h.ProducerID, h.ProducerEpoch, h.FirstSequence = 4242, 3, 900 }, want: "OK: as sent"},
}

// oldMessage is one message of a format before 2.
func oldMessage(magic byte) []byte {
	m0 := kmsg.MessageV0{Key: []byte("key"), Value: []byte("value")}
	whole := m0.AppendTo(nil)
	if magic == 1 {
		m1 := kmsg.MessageV1{Magic: 1, Timestamp: time.Now().UnixMilli(), Key: m0.Key, Value: m0.Value}
		whole = m1.AppendTo(nil)
	}
	const frame, checked = 12, 16
	binary.BigEndian.PutUint32(whole[frame-4:], uint32(len(whole)-frame))
	binary.BigEndian.PutUint32(whole[checked-4:], crc32.ChecksumIEEE(whole[checked:]))
	return whole
}

// brokers are the two kinds that the rules were measured on.
var brokers = map[string]func(t *testing.T) *cluster.Cluster{
	cluster.DefaultVersion: func(t *testing.T) *cluster.Cluster { return newer(t, "target") },
	olderVersion:           older,
}

// What the batch lane may send, and what it has to keep from sending because a
// broker would refuse it, or would take it and spoil it.
func TestWhatATargetTakes(t *testing.T) {
	text, err := os.ReadFile("../docs/FORMATS.md")
	must(t, err)
	for _, r := range rules {
		said := r.want
		if r.older != "" {
			said += "; 3.9: " + r.older
		}
		if row := fmt.Sprintf("\n| %s | %s |", r.sent, said); !strings.Contains(string(text), row) {
			t.Errorf("docs/FORMATS.md has no row %q", row[1:])
		}
	}
	for version, broker := range brokers {
		t.Run(version, func(t *testing.T) {
			k := newTalker(deadline(t, time.Minute), t, broker(t).Bootstrap(), kgo.MaxVersions(namesTopics()))
			prefix := unique(t)
			count := map[string]int32{}
			for _, r := range rules {
				count[cmp.Or(r.topic, "plain")]++
			}
			topic := func(of string) string { return prefix + "-" + strings.ReplaceAll(of, " ", "-") }
			for of, n := range count {
				must(t, workload.Topics(k.ctx, broker(t).Bootstrap(), n, ruleTopics[of], topic(of)))
			}
			for _, r := range rules {
				of := cmp.Or(r.topic, "plain")
				count[of]--
				want := r.want
				if version == olderVersion {
					want = cmp.Or(r.older, want)
				}
				if got := r.try(k, topic(of), count[of]); got != want {
					t.Errorf("%s: got %q, want %q", r.sent, got, want)
				}
			}
		})
	}
}

// namesTopics has the newest requests that call topics by their names.
func namesTopics() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion((&kmsg.ProduceRequest{}).Key(), 12)
	v.SetMaxKeyVersion((&kmsg.FetchRequest{}).Key(), 12)
	return v
}

// try sends what the rule says to an empty partition, and tells the outcome.
func (r *rule) try(k *talker, topic string, partition int32) string {
	k.t.Helper()
	began := time.Now()
	batch, next := batchOf(3, began.Add(-time.Hour)), batchOf(2, began.Add(-time.Hour))
	if r.spoil != nil {
		r.spoil(batch)
	}
	sent, other := batch.bytes(k.t), next.bytes(k.t)
	if r.field != nil {
		sent = r.field(sent, other)
	}
	fields := [][]byte{sent}
	if r.twice {
		fields = append(fields, other)
	}
	answers := k.produce(nil, topic, partition, fields...)
	log := k.log(topic, partition)
	stored := batches(k.t, log)
	if len(answers) != 1 {
		return fmt.Sprintf("%d answers", len(answers))
	}
	answer := answers[0]
	switch {
	case answer.ErrorCode != 0 && len(stored) == 0:
		return name(answer.ErrorCode)
	case answer.ErrorCode != 0:
		return fmt.Sprintf("%s, but %d batches are stored", name(answer.ErrorCode), len(stored))
	case answer.BaseOffset != 0 || len(stored) != 1 || stored[0].FirstOffset != 0:
		return fmt.Sprintf("OK at %d, and %d batches are stored", answer.BaseOffset, len(stored))
	case len(log) != 12+int(stored[0].Length):
		return fmt.Sprintf("OK, and bytes after it are stored: %x", log)
	case stored[0].PartitionLeaderEpoch != 0:
		return fmt.Sprintf("OK with leader epoch %d", stored[0].PartitionLeaderEpoch)
	}
	return "OK: " + changes(k.t, fields[len(fields)-1], stored[0], began)
}
