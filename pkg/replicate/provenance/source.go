package provenance

import (
	"context"
	"time"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// SourceWriters tells of records of the source whether the flow in the opposite direction wrote them: they
// came from the target, and are left out. Ledgers of further flows are not asked, since what those bring is
// copied on, and each batch is asked about. It may be used by several goroutines.
type SourceWriters struct {
	opposite Author
	claims   *ledger.Claims
}

// AskedOppositeLedger is the ledger on the source whose flow's records a flow leaves out; "" where it leaves out
// none: in the record lane, which does not see who wrote, or where no flow goes in the opposite direction.
func AskedOppositeLedger(cfg *settings.Config) string {
	if lane, _ := cfg.LaneInUse(); lane != settings.LaneBatch {
		return ""
	}
	return cfg.OppositeLedger()
}

// OpenSourceWriters opens the question; nil where there is no [AskedOppositeLedger].
func OpenSourceWriters(cfg *settings.Config, source kafka.Config) (*SourceWriters, error) {
	opposite := AskedOppositeLedger(cfg)
	if opposite == "" {
		return nil, nil
	}
	claims, err := ledger.OpenClaims(source, opposite)
	if err != nil {
		return nil, err
	}
	return &SourceWriters{Author{Kind: Opposite, Flow: cfg.To + "->" + cfg.From, Ledger: opposite}, claims}, nil
}

// Close ends the connections.
func (w *SourceWriters) Close() { w.claims.Close() }

// WrittenByOpposite says whether the opposite flow wrote under a producer id, of which a batch was seen at that time.
// It answers without a question to the cluster for ids that it knows. Errors: *ledger.UnknownClaimsError.
func (w *SourceWriters) WrittenByOpposite(ctx context.Context, producer int64, seen time.Time) (bool, error) {
	author, err := authorOf(ctx, producer, seen, claimant{author: w.opposite, claims: w.claims})
	return author.Kind == Opposite, err
}
