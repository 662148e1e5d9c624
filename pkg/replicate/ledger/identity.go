package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
)

// IdentityName is the name of the note that says whose a ledger is. The one in partition
// 0 decides; after the clusters were renamed each other partition has a copy.
const IdentityName = "flow"

// identityVersion is the version of the note's fields.
const identityVersion = 1

// Identity is the flow that a ledger belongs to. It is decided once, before anything is
// copied, and every later start compares itself with it.
type Identity struct {
	Version int `json:"version"`
	// Revision counts changes from 1. Of two notes with the same one the earlier holds: the later
	// was written by somebody who had not seen it.
	Revision      int64     `json:"revision"`
	From          string    `json:"from"` // the clusters' names
	To            string    `json:"to"`
	SourceCluster string    `json:"source_cluster"` // cluster ids
	TargetCluster string    `json:"target_cluster"`
	Naming        string    `json:"naming"`
	Separator     string    `json:"separator,omitempty"` // with naming: prefix alone
	SourcePrefix  string    `json:"source_prefix,omitempty"`
	TargetPrefix  string    `json:"target_prefix,omitempty"`
	Shards        int       `json:"shards"`
	Program       string    `json:"program"`            // version that started the flow last
	Since         time.Time `json:"since"`              // when the note was first written
	Formerly      []string  `json:"formerly,omitempty"` // names that the flow had before, as old->new
	Changes       []Changed `json:"changes,omitempty"`  // the latest ones, oldest first
}

// Changed is what was changed in an Identity.
type Changed struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	Was  string    `json:"was"`
	Is   string    `json:"is"`
}

// changesKept bounds Changes.
const changesKept = 20

// Flow is the flow's name, as old->new.
func (i *Identity) Flow() string { return i.From + "->" + i.To }

// Successor is the note that takes the place of i: what it says now, and what changed.
func (i *Identity) Successor(now Identity, changes []Changed) Identity {
	now.Revision, now.Since, now.Formerly = i.Revision+1, i.Since, i.Formerly
	if i.Flow() != now.Flow() {
		now.Formerly = append([]string{}, i.Formerly...)
		now.Formerly = append(now.Formerly, i.Flow())
	}
	now.Changes = append(append([]Changed{}, i.Changes...), changes...)
	if more := len(now.Changes) - changesKept; more > 0 {
		now.Changes = now.Changes[more:]
	}
	return now
}

// EncodeIdentity is the text of the note.
func EncodeIdentity(i Identity) []byte {
	i.Version = identityVersion
	text, err := json.Marshal(i)
	if err != nil {
		panic(fmt.Sprintf("ledger: an identity cannot be written as JSON: %v", err))
	}
	return text
}

// decodeIdentity reads the text of the note; nil gives nil. Errors: *VersionError, or that
// the text is no such note.
func decodeIdentity(text []byte) (*Identity, error) {
	if text == nil {
		return nil, nil
	}
	var i Identity
	if err := json.Unmarshal(text, &i); err != nil {
		return nil, fmt.Errorf("note %s of the ledger: %w", IdentityName, err)
	}
	if i.Version > identityVersion {
		return nil, &VersionError{What: "the note " + IdentityName, Got: byte(min(i.Version, 255))}
	}
	return &i, nil
}

// Identity is the flow that the shard's ledger partition names; nil: none.
func (s *Shard) Identity() (*Identity, error) { return decodeIdentity(s.notes[IdentityName]) }

// later is the one of two notes, in the order of the log, that holds.
func later(before, text []byte) []byte {
	was, err := decodeIdentity(before)
	if err != nil || was == nil {
		return text
	}
	if is, err := decodeIdentity(text); err == nil && is.Revision <= was.Revision {
		return before
	}
	return text
}

// ReadIdentity tells which flow a ledger topic on a cluster belongs to; nil where there is
// no such topic, or none of its records says so. It reads one partition, and what is not
// yet committed there counts: it waits for nobody. An error means that the answer is not
// known: a missing right ([kafka.Problem]), a topic that is no ledger, or what the cluster says.
func ReadIdentity(ctx context.Context, cluster kafka.Config, topic string) (*Identity, error) {
	client, err := kafka.NewFranz(cluster)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, othersWait)
	defer cancel()
	var text []byte
	logs, err := glance.ReadAll(ctx, client, []string{topic}, func(l *glance.Log) {
		if l.Number != 0 {
			return
		}
		text = nil
		l.Take = func(r *kgo.Record) error {
			k, err := decodeKey(r.Key)
			if err != nil || k.kind != kindNote || k.note != IdentityName {
				return err
			}
			if r.Value == nil {
				text = nil
				return nil
			}
			note, err := decodeNote(r.Value)
			if err == nil {
				text = later(text, note)
			}
			return err
		}
	})
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition) && logs == nil:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read which flow ledger %s on cluster %s belongs to: %w", topic, cluster.Name,
			readDenied(cluster, topic, err))
	}
	return decodeIdentity(text)
}

// readDenied names the right that is missing, if that is the error.
func readDenied(cluster kafka.Config, topic string, err error) error {
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return cluster.Denied("Read", "topic "+topic, err)
	}
	return cluster.Explain(err)
}
