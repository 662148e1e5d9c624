package settings

import (
	"regexp"

	"replicator/pkg/policy"
)

// Opposite is the flow that carries records back, of those topics only.
func Opposite(c Config, topics []string) Config {
	back := c
	back.From, back.To = c.To, c.From
	back.SourcePrefix, back.TargetPrefix = c.TargetPrefix, c.SourcePrefix
	back.Topics, back.ExcludeTopics, back.SharedGroups = nil, nil, nil
	for _, topic := range topics {
		back.Topics = append(back.Topics, regexp.QuoteMeta(topic[len(c.SourcePrefix):]))
	}
	back.Start = Earliest
	back.Limits = Limits{} // somebody waits for it
	if c.Ledger != "" {
		back.Ledger = c.Ledger + ".back"
	}
	back.Flows = []policy.Flow{back.Flow}
	return back
}
