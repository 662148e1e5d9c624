package handover

import (
	"strings"

	"replicator/pkg/replicate/ledger"
)

// RecordOf is the latest cutover that a ledger knows.
func RecordOf(book *ledger.Shard) (r Record, err error) {
	return r, Decode(book.Note(RecordName), &r)
}

// GroupsOf lists where groups stood at a cutover.
func GroupsOf(book *ledger.Shard, id string) ([]Group, error) {
	return notesOf(book, groupPrefix, func(g *Group) bool { return g.ID == id })
}

// notesOf reads the notes whose names begin so, as far as they are wanted.
func notesOf[Note any](book *ledger.Shard, prefix string, wanted func(*Note) bool) ([]Note, error) {
	var list []Note
	for _, name := range book.Notes() {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		var note Note
		if err := Decode(book.Note(name), &note); err != nil {
			return nil, err
		}
		if wanted(&note) {
			list = append(list, note)
		}
	}
	return list, nil
}

// TopicsOf lists where topics ended at a cutover, by their names on the source.
func TopicsOf(book *ledger.Shard, id string) (map[string]Topic, error) {
	list, err := notesOf(book, topicPrefix, func(t *Topic) bool { return t.ID == id })
	if err != nil {
		return nil, err
	}
	ends := make(map[string]Topic, len(list))
	for _, t := range list {
		ends[t.Topic] = t
	}
	return ends, nil
}

// OffsetOrNone is an offset as notes have it: -1 where there is none.
func OffsetOrNone[T ~int64](at *T) int64 {
	if at == nil {
		return -1
	}
	return int64(*at)
}

// RestoredName is the note, in partition 0 of the ledger, of the cutover after which settings
// were put back: while that one counts, no replica sets them again.
const RestoredName = "restored"

// Restored is what that note holds.
type Restored struct {
	Cutover string `json:"cutover"`
}

// RestoredAfter says after which cutover settings were put back, if that one counts, and the topics that were cut over
// by it; none else.
func RestoredAfter(book *ledger.Shard) (id string, over map[string]bool, err error) {
	record, err := RecordOf(book)
	if err != nil {
		return "", nil, err
	}
	var r Restored
	if err := Decode(book.Note(RestoredName), &r); err != nil || r.Cutover != record.ID {
		return "", nil, err
	}
	over, err = CutOver(book, &record)
	return record.ID, over, err
}

// CutOver are the topics that the cutover which counts has cut over, by their names on the source.
func CutOver(book *ledger.Shard, record *Record) (map[string]bool, error) {
	if record.State != Done {
		return nil, nil
	}
	ends, err := TopicsOf(book, record.ID)
	over := make(map[string]bool, len(ends))
	for topic := range ends {
		over[topic] = true
	}
	return over, err
}

// DirectionOf is which way a shard runs; the zero Direction where it was never turned.
func DirectionOf(book *ledger.Shard) (d Direction, err error) {
	return d, Decode(book.Note(DirectionName), &d)
}
