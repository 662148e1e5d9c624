package provenance

import (
	"context"
	"time"
)

// Kind is who wrote a record or a stretch of a log, as one flow sees it.
type Kind int

const (
	// Unknown: it could not be found out, which is no reason to advise a deletion.
	Unknown Kind = iota
	// Own: this flow, in this life or a former one.
	Own
	// Opposite: the flow that copies the other way between the same two clusters.
	Opposite
	// Another: another flow of ours.
	Another
	// Foreign: somebody else, since no ledger that was asked claims it.
	Foreign
)

// String is the kind in a word.
func (k Kind) String() string {
	return [...]string{"unknown", "own", "opposite", "another", "foreign"}[k]
}

// Author is who wrote a record, or fills a topic.
type Author struct {
	Kind Kind
	// Flow is the flow, as old->new, or "of TOPIC" where its ledger does not name it; empty with Unknown and Foreign.
	Flow string
	// Ledger is the ledger topic that says so; empty with Unknown and Foreign.
	Ledger string
	// Producer is the id under which the record was written, which is which life of the flow: one that begins anew, or
	// is handed another id, claims that before it writes. -1: none, or not asked for.
	Producer int64
}

// claimant is a flow whose ledger stands on the cluster, and may have claimed a producer id.
type claimant struct {
	author Author // who wrote what it claims
	claims interface {
		// Claimed says whether an id is claimed; all that was claimed before the record was seen counts.
		Claimed(ctx context.Context, producer int64, seen time.Time) (bool, error)
	}
	err error // why its ledger cannot be read; then claims is nil
}

// authorOf is who writes under a producer id, of which a record was seen at that time. A flow claims an id before
// it writes under it: what nobody claims is foreign, but only where all ledgers could be read. The error is with
// Unknown alone, and says why.
func authorOf(ctx context.Context, producer int64, seen time.Time, among ...claimant) (Author, error) {
	var unread error
	for _, c := range among {
		claimed, err := false, c.err
		if err == nil {
			claimed, err = c.claims.Claimed(ctx, producer, seen)
		}
		if claimed {
			c.author.Producer = producer
			return c.author, nil
		}
		if unread == nil {
			unread = err
		}
	}
	if unread != nil && producer >= 0 { // no flow writes without an id
		return Author{Kind: Unknown, Producer: producer}, unread
	}
	return Author{Kind: Foreign, Producer: producer}, nil
}
