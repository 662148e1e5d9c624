package shard

import (
	"log/slog"
	"testing"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/source"
)

// TestSignsOfFormerTopics: what was seen of a topic says nothing about the next one of that name, on either side.
func TestSignsOfFormerTopics(t *testing.T) {
	p := chunk.Partition{Topic: "t"}
	key, next := ledger.Key{Topic: chunk.TopicID{1}, Partition: p}, ledger.Key{Topic: chunk.TopicID{2}, Partition: p}
	target, other := chunk.TopicID{3}, chunk.TopicID{4}
	for _, c := range []struct {
		why             string
		key             ledger.Key
		target          chunk.TopicID
		doubted, behind bool
	}{
		{"the same topics", key, target, true, true},
		{"another source topic", next, target, false, false},
		{"another target topic", key, other, true, false},
	} {
		s := newSigns(slog.New(slog.DiscardHandler))
		s.note(&belowError{key: key, topic: target, at: 5, last: 9}, nil)
		s.note(&source.Unreadable{OutOfLog: true, Partition: p, At: 7, End: 6},
			map[chunk.Partition]published.Route{p: {Key: key}})
		s.keep(c.key, c.target)
		_, doubted := s.doubts[p]
		if _, behind := s.behind[p]; doubted != c.doubted || behind != c.behind {
			t.Errorf("%s: doubted %t, behind %t", c.why, doubted, behind)
		}
	}
}
