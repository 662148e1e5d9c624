package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/replicate/chunk"
)

// Paused is a note about a topic, or one partition of it, whose copying somebody has paused: what was said about that,
// the last word last. That of a topic stands in each partition of the ledger, since any of them may get a partition of
// the topic later.
type Paused struct {
	Version int         `json:"version"` // 1
	Words   []PauseWord `json:"words"`   // the last [maxWords]
}

// PauseWord is one word of an operator.
type PauseWord struct {
	At      time.Time `json:"at"` // to the millisecond
	By      string    `json:"by"` // user@host, as the command found them
	Why     string    `json:"why,omitempty"`
	Pause   bool      `json:"pause"`   // else it goes on
	Program string    `json:"program"` // version that wrote it
}

// maxWords bounds a note.
const maxWords = 50

// PausePrefix begins the names of these notes.
const PausePrefix = "pause/"

// PauseName is the name of the note about a topic of the source, or of that about one partition.
func PauseName(topic string, partition *int32) string {
	if partition == nil {
		return PausePrefix + topic
	}
	return fmt.Sprintf("%s%s/%d", PausePrefix, topic, *partition)
}

// PauseNames lists the notes of a shard.
func PauseNames(book *Shard) []string {
	return slices.DeleteFunc(book.Notes(), func(name string) bool { return !strings.HasPrefix(name, PausePrefix) })
}

// PausedOf reads a note; an empty one where there is none.
func PausedOf(book *Shard, name string) (p Paused, err error) {
	text := book.Note(name)
	if text == nil {
		return p, nil
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("note %s of the ledger: %w", name, err)
	}
	if p.Version != 1 {
		return p, &VersionError{What: "note " + name, Got: byte(min(p.Version, 255))}
	}
	return p, nil
}

// Say adds a word.
func (p *Paused) Say(word PauseWord) {
	p.Version, p.Words = 1, append(p.Words, word)
	p.Words = p.Words[max(0, len(p.Words)-maxWords):]
}

// Now is the word that holds; nil: it is not paused.
func (p *Paused) Now() *PauseWord {
	if n := len(p.Words); n > 0 && p.Words[n-1].Pause {
		return &p.Words[n-1]
	}
	return nil
}

// PauseOf is why a partition is paused, and since when; nil: it is not. Its topic may be, or it alone. Where that
// cannot be read, it is taken for paused.
func PauseOf(book *Shard, p chunk.Partition) *Stop {
	for _, number := range []*int32{nil, &p.Number} {
		what := p.Topic
		if number != nil {
			what = p.String()
		}
		note, err := PausedOf(book, PauseName(p.Topic, number))
		if err != nil {
			return &Stop{Kind: chunk.StopPaused, Fix: cmp.Or(chunk.Remedy(err), resumeFix(what)),
				Reason: "whether it is paused cannot be read: " + err.Error()}
		}
		word := note.Now()
		if word == nil {
			continue
		}
		stop := &Stop{Kind: chunk.StopPaused, Since: word.At, Fix: resumeFix(what),
			Reason: fmt.Sprintf("%s was paused by %s", what, word.By)}
		if word.Why != "" {
			stop.Reason += ": " + word.Why
		}
		return stop
	}
	return nil
}

func resumeFix(what string) string {
	return fmt.Sprintf("'replicator resume %s' has it go on; what the source deletes before that cannot be copied", what)
}
