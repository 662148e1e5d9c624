package compare

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// shelf is a cluster with one topic of one partition.
type shelf struct {
	t    *testing.T
	ctx  context.Context
	fake *kafkatest.Cluster
	log  *Remote
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	fake := kafkatest.Start(t, kfake.NumBrokers(3), kfake.SeedTopics(1, "orders"))
	s := &shelf{t: t, ctx: ctx, fake: fake}
	s.log = &Remote{Client: fake.Client(), Topic: "orders", ID: chunk.TopicID(fake.TopicInfo("orders").TopicID),
		Cluster: kafka.Config{Name: "old"}}
	return s
}

// read answers the offsets of a range, and what the last page said.
func (s *shelf) read(from, to int64) (seen []int64, last Page) {
	s.t.Helper()
	s.log.From, s.log.To = from, to
	err := s.log.Read(s.ctx, func(p Page) error {
		for _, r := range p.Records {
			seen = append(seen, r.Offset)
		}
		last = p
		return nil
	})
	if err != nil {
		s.t.Fatalf("read [%d,%d): %v", from, to, err)
	}
	return seen, last
}

// A range is read to its end, whatever stands there: markers, aborted records, another
// leader, or nothing any more.
func TestReadARange(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	two := func() []*kgo.Record { return kafkatest.Records("orders", 0, 2) }
	s.fake.Fill("orders", 0, 3)                 // 0 to 2
	s.fake.Transaction(kgo.TryCommit, two()...) // 3, 4, marker 5
	s.fake.Transaction(kgo.TryAbort, two()...)  // 6, 7, marker 8
	want := []int64{0, 1, 2, 3, 4}
	if got, last := s.read(0, 9); !slices.Equal(got, want) || last.More || last.Start != 0 {
		t.Errorf("all: %v, %+v, want %v", got, last, want)
	}
	if got, last := s.read(1, 4); !slices.Equal(got, want[1:4]) || !last.More {
		t.Errorf("the middle: %v, %+v, want %v, and more behind", got, last, want[1:4])
	}
	if err := s.fake.MoveTopicPartition("orders", 0, (s.fake.LeaderFor("orders", 0)+1)%3); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.read(0, 9); !slices.Equal(got, want) {
		t.Errorf("after the leader has moved: %v, want %v", got, want)
	}
	var below kadm.Offsets
	below.AddOffset("orders", 0, 4, -1)
	if _, err := s.fake.Admin().DeleteRecords(s.ctx, below); err != nil {
		t.Fatal(err)
	}
	if got, last := s.read(0, 9); !slices.Equal(got, want[4:]) || last.Start != 4 {
		t.Errorf("after a deletion: %v, %+v, want %v from 4", got, last, want[4:])
	}
	if got, last := s.read(0, 3); got != nil || last.Start != 4 {
		t.Errorf("what was deleted: %v, %+v, want nothing from 4", got, last)
	}
}

// A broker that answers with nothing is believed where it has that part of the log itself: else the records are in
// another storage, and too slow to come.
func TestReadWhatABrokerHasElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why     string
		local   int64 // where the broker's own log begins
		answers int   // with nothing, before the records come
		want    []int64
	}{
		{"compacted away", 0, 100, nil},
		{"elsewhere, and late", 3, emptyAnswers + 1, []int64{0, 1, 2}},
	} {
		s := newShelf(t)
		s.fake.Fill("orders", 0, 3)
		var answered atomic.Int32
		s.fake.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
			s.fake.KeepControl()
			if int(answered.Add(1)) > c.answers {
				return nil, nil, false
			}
			answer := request.ResponseKind().(*kmsg.FetchResponse)
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = "orders", s.log.ID
			p := kmsg.NewFetchResponseTopicPartition()
			p.HighWatermark, p.LastStableOffset = 3, 3
			topic.Partitions = append(topic.Partitions, p)
			answer.Topics = append(answer.Topics, topic)
			return answer, nil, true
		})
		s.fake.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
			s.fake.KeepControl()
			answer := request.ResponseKind().(*kmsg.ListOffsetsResponse)
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = "orders"
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Offset = c.local
			topic.Partitions = append(topic.Partitions, p)
			answer.Topics = append(answer.Topics, topic)
			return answer, nil, true
		})
		if got, _ := s.read(0, 3); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}

// The answer of another topic under the same name is not taken for this one's.
func TestReadATopicThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.fake.Fill("orders", 0, 3)
	admin := s.fake.Admin()
	if _, err := admin.DeleteTopics(s.ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopics(s.ctx, 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	s.log.To = 3
	err := s.log.Read(s.ctx, func(Page) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "created again") {
		t.Errorf("%v, want a refusal", err)
	}
}

// What unpacks to very much is read in pages that are not larger than others, and
// nothing is left out or read twice.
func TestReadVeryMuchInAPage(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	const records, size = 150, 300 << 10
	for _, codec := range []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.GzipCompression()} {
		client := s.fake.Client(kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchMaxBytes(60<<20),
			kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Second), kgo.MaxBufferedRecords(records))
		var list []*kgo.Record
		for i := range records {
			list = append(list, &kgo.Record{Value: bytes.Repeat([]byte{byte(i)}, size)})
		}
		if err := client.ProduceSync(s.ctx, list...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s.log.From, s.log.To = 3, 2*records-3
	at, pages := s.log.From, 0
	err := s.log.Read(s.ctx, func(p Page) error {
		held := 0
		for _, r := range p.Records {
			if r.Offset != at || !bytes.Equal(r.Value, bytes.Repeat([]byte{byte(at % records)}, size)) {
				return fmt.Errorf("offset %d comes at %d", r.Offset, at)
			}
			at++
			held += len(r.Value)
		}
		if held > unpackedBytes+size {
			t.Errorf("a page holds %d bytes", held)
		}
		pages++
		return nil
	})
	if err != nil || at != s.log.To || pages < 10 {
		t.Errorf("read up to %d of %d in %d pages: %v", at, s.log.To, pages, err)
	}
}

// A bomb is an error that says so, and takes little memory.
func TestReadABomb(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 1<<20)
	for range 400 {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := wire.Encode([]*kgo.Record{{Value: []byte("v"), Timestamp: time.UnixMilli(1)}}, kgo.CodecNone)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b[:wire.HeaderBytes], packed.Bytes()...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[22] = byte(kgo.CodecZstd)
	b.Stamp(wire.Producer{ID: -1, Epoch: -1}, -1)
	s.fake.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		s.fake.KeepControl()
		answer := request.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = "orders", s.log.ID
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.LastStableOffset, p.RecordBatches = 1, 1, b
		topic.Partitions = append(topic.Partitions, p)
		answer.Topics = append(answer.Topics, topic)
		return answer, nil, true
	})
	s.log.From, s.log.To = 0, 1
	err = s.log.Read(s.ctx, func(Page) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "what follows offset 0 cannot be read") {
		t.Errorf("%d bytes: %v", len(b), err)
	}
}
