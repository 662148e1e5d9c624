// Package seen is what was last seen of the source: where its logs ended, and when it said so. A shard's ledger
// notes it every few seconds, so that it is known what is lost when the source is.
//
// The central types are [Note], JSON in a note of each ledger partition (docs/FORMATS.md shows it), and [Watch],
// what a process has seen since it began. They guarantee:
//
//  1. what is not known is never said to be 0: an end that was not told has the time at which it last was;
//  2. a note is about offsets of the source, and stays true while progress goes on: whoever reads it compares it with
//     the progress of the same ledger partition;
//  3. a note is bounded, and says how many partitions it has left out for that.
//
// Nothing here asks a cluster.
package seen

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// NoteName is the name of the note.
const NoteName = "seen"

// Version is the version of the note; one that is higher is refused.
const Version = 1

// End is where one log of the source was last seen to end.
type End struct {
	High   offsets.Source // high watermark
	Stable offsets.Source // last stable offset; below High, an open transaction holds the rest
	// Seen is when the source was asked for it; zero: it has never told, and the offsets say nothing.
	Seen time.Time
	// Since is a time that everything that was not copied is younger than: the log was caught up with then, or it is the
	// timestamp of the last record that was copied. Zero: not known.
	Since time.Time
}

// Known says whether the source has ever told the end.
func (e End) Known() bool { return !e.Seen.IsZero() }

// Beyond counts the offsets from progress up to the last stable one: at most that many records were not copied.
func (e End) Beyond(progress offsets.Source) int64 { return max(int64(e.Stable-progress), 0) }

// Held counts the offsets that an open transaction held.
func (e End) Held() int64 { return max(int64(e.High-e.Stable), 0) }

// Note is what the ledger partition of a shard says of the source.
type Note struct {
	Version int       `json:"version"`
	Seen    time.Time `json:"seen"`
	// Topics are those with partitions that hold something beyond their progress, or that were not seen then. All
	// others had nothing beyond their progress at Seen.
	Topics []Topic `json:"topics,omitempty"`
	// Omitted counts partitions that there was no room for: of one that is not listed nothing is known then.
	Omitted int `json:"omitted,omitempty"`
}

// Topic is a topic of the source.
type Topic struct {
	Topic      string      `json:"topic"`
	Partitions []Partition `json:"partitions"`
}

// Partition is one partition of it.
type Partition struct {
	Partition  int32     `json:"partition"`
	High       int64     `json:"high_watermark"`
	LastStable int64     `json:"last_stable_offset"`
	Since      time.Time `json:"since,omitzero"`
	Seen       time.Time `json:"seen,omitzero"` // other than the note's; with offsets of -1: never
}

// Of reads the note of a shard; the zero Note: nothing was ever noted.
func Of(book *ledger.Shard) (n Note, err error) {
	text := book.Note(NoteName)
	if text == nil {
		return n, nil
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return n, fmt.Errorf("note %s of the ledger: %w", NoteName, err)
	}
	if n.Version > Version {
		return n, fmt.Errorf("note %s of the ledger has version %d, this release knows version %d", NoteName, n.Version,
			Version)
	}
	return n, nil
}

// End is where a partition of the shard ended, of which the ledger has that progress now.
func (n *Note) End(p chunk.Partition, progress offsets.Source) End {
	if n.Seen.IsZero() {
		return End{}
	}
	for _, t := range n.Topics {
		if t.Topic != p.Topic {
			continue
		}
		for _, one := range t.Partitions {
			if one.Partition == p.Number {
				return n.read(one)
			}
		}
	}
	if n.Omitted > 0 {
		return End{}
	}
	return End{High: progress, Stable: progress, Seen: n.Seen, Since: n.Seen}
}

func (n *Note) read(p Partition) End {
	e := End{High: offsets.Source(p.High), Stable: offsets.Source(p.LastStable), Seen: p.Seen, Since: p.Since}
	switch {
	case p.High < 0:
		return End{}
	case e.Seen.IsZero():
		e.Seen = n.Seen
	}
	return e
}

// Make makes the note of a shard from the ends of those of its partitions that hold something beyond progress, or were
// not seen when the others were: at. As many are listed as there is room for, in the order of their names.
func Make(at time.Time, ends map[chunk.Partition]End) Note {
	n := Note{Version: Version, Seen: at.UTC().Truncate(time.Millisecond)}
	list := make([]chunk.Partition, 0, len(ends))
	for p := range ends {
		list = append(list, p)
	}
	slices.SortFunc(list, chunk.Partition.Compare)
	size := 0
	for _, p := range list {
		one := partitionOf(p.Number, ends[p], n.Seen)
		last := len(n.Topics) - 1
		fresh := last < 0 || n.Topics[last].Topic != p.Topic
		if size += onePartition; fresh {
			size += oneTopic + len(p.Topic)
		}
		switch {
		case size > most:
			n.Omitted++
		case fresh:
			n.Topics = append(n.Topics, Topic{Topic: p.Topic, Partitions: []Partition{one}})
		default:
			n.Topics[last].Partitions = append(n.Topics[last].Partitions, one)
		}
	}
	return n
}

// Bounds of a note, in bytes of JSON: a topic takes 1 MB at most unless somebody has set it otherwise.
const (
	most         = 256 << 10
	onePartition = 190 // all fields of one, at their longest
	oneTopic     = 40  // beside its name
)

func partitionOf(number int32, e End, seen time.Time) Partition {
	if !e.Known() {
		return Partition{Partition: number, High: -1, LastStable: -1}
	}
	p := Partition{Partition: number, High: int64(e.High), LastStable: int64(e.Stable)}
	if !e.Since.IsZero() {
		p.Since = e.Since.UTC().Truncate(time.Millisecond)
	}
	if at := e.Seen.UTC().Truncate(time.Millisecond); !at.Equal(seen) {
		p.Seen = at
	}
	return p
}

// Text is the note as the ledger keeps it.
func (n *Note) Text() []byte {
	text, err := json.Marshal(n)
	if err != nil {
		panic(fmt.Sprintf("seen: a note cannot be written as JSON: %v", err))
	}
	return text
}

// SameBut says whether two notes say the same but for when.
func (n *Note) SameBut(other *Note) bool {
	return n.Omitted == other.Omitted && slices.EqualFunc(n.Topics, other.Topics, func(a, b Topic) bool {
		return a.Topic == b.Topic && slices.Equal(a.Partitions, b.Partitions)
	})
}
