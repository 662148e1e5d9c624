package provenance

import (
	"context"
	"errors"
	"testing"
	"time"
)

// claimed are the ids that a ledger claims; nil: it cannot be read.
type claimed map[int64]bool

var errUnread = errors.New("a leader is away")

func (c claimed) Claimed(_ context.Context, producer int64, _ time.Time) (bool, error) {
	if c == nil {
		return false, errUnread
	}
	return c[producer], nil
}

func TestAuthorIsWhoClaimsTheProducer(t *testing.T) {
	own := claimant{author: Author{Kind: Own, Flow: "old->new", Ledger: "l1"}, claims: claimed{1: true}}
	another := claimant{author: Author{Kind: Another, Flow: "third->new", Ledger: "l2"}, claims: claimed{2: true}}
	silent := claimant{author: Author{Kind: Another, Flow: "x->new", Ledger: "l3"}, claims: claimed(nil)}
	denied := claimant{author: Author{Kind: Another, Flow: "of l4", Ledger: "l4"}, err: errors.New("not authorized")}
	for _, c := range []struct {
		why      string
		producer int64
		among    []claimant
		kind     Kind
		flow     string
		unread   error
	}{
		{"this flow", 1, []claimant{another, own}, Own, "old->new", nil},
		{"another flow", 2, []claimant{another, own}, Another, "third->new", nil},
		{"one claims it, whatever the others would say", 2, []claimant{silent, denied, another}, Another, "third->new", nil},
		{"nobody claims it", 3, []claimant{another, own}, Foreign, "", nil},
		{"there are no ledgers", 3, nil, Foreign, "", nil},
		{"a ledger is not readable now", 3, []claimant{another, silent}, Unknown, "", errUnread},
		{"a ledger may not be read", 3, []claimant{denied, another}, Unknown, "", denied.err},
		{"no flow writes without an id", -1, []claimant{denied, silent}, Foreign, "", nil},
	} {
		got, err := authorOf(t.Context(), c.producer, time.Now(), c.among...)
		if got.Kind != c.kind || got.Flow != c.flow || got.Producer != c.producer || !errors.Is(err, c.unread) {
			t.Errorf("%s: %s of %q, %v; want %s of %q, %v", c.why, got.Kind, got.Flow, err, c.kind, c.flow, c.unread)
		}
	}
}
