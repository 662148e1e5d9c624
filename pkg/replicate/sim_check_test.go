package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// simPartition names a partition, which has one name on both sides.
type simPartition struct {
	topic  string
	number int32
}

func (p simPartition) String() string { return fmt.Sprintf("%s/%d", p.topic, p.number) }

// simRecord is a visible record: all that must be equal is in the text.
type simRecord struct {
	offset int64
	text   string
	lost   bool // deleted at the source while nobody copied
}

func simText(r *kgo.Record) string {
	null := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s=%s", r.Timestamp.UnixMilli(), null(r.Key), null(r.Value))
	for _, h := range r.Headers {
		fmt.Fprintf(&b, " %q:%s", h.Key, null(h.Value))
	}
	return b.String()
}

// simRead reads what is visible from an offset up to the last stable one, which it
// returns. Control records are kept to see that the end was reached.
func simRead(ctx context.Context, bootstrap string, p simPartition, from int64) ([]simRecord, int64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			p.topic: {p.number: kgo.NewOffset().At(from)}}))
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, p.topic)
	if err != nil {
		return nil, 0, err
	}
	end, ok := ends.Lookup(p.topic, p.number)
	if !ok || end.Err != nil {
		return nil, 0, fmt.Errorf("%s: no end yet: %w", p, errors.Join(end.Err))
	}
	var records []simRecord
	for next := from; next < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, 0, fmt.Errorf("read %s from %d, at %d of %d: %w", p, from, next, end.Offset, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= end.Offset {
				return
			}
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				records = append(records, simRecord{offset: r.Offset, text: simText(r)})
			}
		})
	}
	return records, end.Offset, nil
}

// errSimWrong is a difference that no waiting heals.
var errSimWrong = errors.New("wrong")

// simCompare holds one partition of both sides against each other: the target has
// what the source had, once and in order. With again, records may be there again
// behind their first time. A target that merely lacks the end is not wrong yet.
func simCompare(p simPartition, source, target []simRecord, again bool) error {
	var want []simRecord
	for _, r := range source {
		if !r.lost {
			want = append(want, r)
		}
	}
	seen := map[string]bool{}
	n := 0
	for _, got := range target {
		switch {
		case n < len(want) && got.text == want[n].text:
			seen[got.text] = true
			n++
		case again && seen[got.text]:
		case n < len(want):
			return fmt.Errorf("%w: %s: target %d holds %s, want source %d: %s",
				errSimWrong, p, got.offset, got.text, want[n].offset, want[n].text)
		default:
			return fmt.Errorf("%w: %s: target %d holds %s, which is too much", errSimWrong, p, got.offset, got.text)
		}
	}
	if n < len(want) {
		return fmt.Errorf("%s: %d of %d records are there; the next is source %d: %s",
			p, n, len(want), want[n].offset, want[n].text)
	}
	return nil
}

// simStands says whether a group that stands at on the source and at to on the target
// reads the same next. With again it may read records again, but must miss none.
func simStands(source, target []simRecord, at, to, targetEnd int64, again bool) error {
	if to < 0 {
		return errors.New("has no position")
	}
	left := map[string]bool{}
	n := 0
	for _, r := range source {
		if !r.lost && r.offset >= at {
			left[r.text] = true
			n++
		}
	}
	got := 0
	for _, r := range target {
		if r.offset >= to {
			delete(left, r.text)
			got++
		}
	}
	switch {
	case to > targetEnd:
		return fmt.Errorf("stands at %d, past the target's end %d", to, targetEnd)
	case len(left) > 0:
		return fmt.Errorf("at %d on the source, stands at %d, and misses %d records", at, to, len(left))
	case !again && got != n:
		return fmt.Errorf("at %d on the source, stands at %d: reads %d records, want %d", at, to, got, n)
	case !again && n == 0 && to != targetEnd:
		return fmt.Errorf("at %d on the source, at its end, stands at %d with the target's end at %d", at, to, targetEnd)
	}
	return nil
}
