package repartition

import (
	"fmt"
	"slices"

	"replicator/pkg/replicate/settings"
	announce "replicator/pkg/versions"
)

// NoPrefix refuses clusters of which the configuration may use a part only: applications
// look for versions and for what is announced by names of their own.
func NoPrefix(flows []settings.Config, names ...string) error {
	for _, flow := range flows {
		for name, prefix := range map[string]string{flow.From: flow.SourcePrefix, flow.To: flow.TargetPrefix} {
			if prefix != "" && slices.Contains(names, name) {
				return fmt.Errorf("cluster %s has the prefix %q: topic-version goes by a topic's whole name, and announces "+
					"versions on topic %s, which has none; use a configuration without a prefix", name, prefix, announce.Meta)
			}
		}
	}
	return nil
}
