package clients

import (
	"log/slog"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/scan"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// Clients are what those who copy a flow and those who only view it have in
// common: those that ask both clusters, and the policy.
type Clients struct {
	Policy                       *policy.Policy      // what is selected, and how it is named
	SourceOffsets, TargetOffsets *listoffsets.Client // where logs begin and end
	Groups                       *groups.Groups      // of both clusters, with their positions
	Ledger                       *ledger.Reader      // of the flow's ledger, on the target
	Scan                         *scan.Scanner       // single stretches of the target
}

// TopicsConfig says how the flow's target topics are looked after. The batch lane
// notices by itself that a topic replaces timestamps.
func TopicsConfig(c *settings.Config, source, target kafka.Config, chosen *policy.Policy,
	log *slog.Logger) topics.Config {
	lane, _ := c.LaneInUse()
	return topics.Config{
		Source: source, Target: target, Policy: chosen, Flow: c.Name(), ReplicationFactor: c.ReplicationFactor,
		SyncConfigs: c.SyncTopicConfigs, Watched: lane == settings.LaneBatch, ExcludeConfigs: c.ExcludeConfigs, Log: log,
	}
}

// Open opens the clients of one flow; nothing is connected yet. After an
// error what was opened is closed again.
func Open(cfg *settings.Config, source, target kafka.Config, log *slog.Logger) (r Clients, err error) {
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.Policy, err = policy.New(cfg.Config); err != nil {
		return r, err
	}
	if r.SourceOffsets, err = listoffsets.Open(source); err != nil {
		return r, err
	}
	if r.TargetOffsets, err = listoffsets.Open(target); err != nil {
		return r, err
	}
	r.Groups, err = groups.Open(groups.Config{
		Source: source, Target: target, Policy: r.Policy, Flow: cfg.Name(), Log: log,
	})
	if err != nil {
		return r, err
	}
	if r.Ledger, err = ledger.OpenReader(target, cfg.LedgerTopic()); err != nil {
		return r, err
	}
	r.Scan = scan.Open(target, log)
	return r, nil
}

// Close ends what was opened, in the opposite order.
func (r *Clients) Close() {
	if r.Scan != nil {
		_ = r.Scan.Close()
	}
	if r.Ledger != nil {
		_ = r.Ledger.Close()
	}
	if r.Groups != nil {
		r.Groups.Close()
	}
	for _, one := range []*listoffsets.Client{r.TargetOffsets, r.SourceOffsets} {
		if one != nil {
			one.Close()
		}
	}
}
