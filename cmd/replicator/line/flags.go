package line

import (
	"errors"
	"log/slog"
	"maps"

	"github.com/spf13/cobra"

	"replicator/internal/config"
	"replicator/internal/terminal"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/tokens"
)

// ConfigFlag adds -c, which every verb that reaches a cluster must be given.
func ConfigFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "", "the configuration file (see 'replicator help config')")
	_ = cmd.MarkFlagRequired("config")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// OneFlow is the usage of --flow where a verb is about one.
const OneFlow = "which flow, as old->new (needed if there are several)"

// FlowFlag adds --flow.
func FlowFlag(cmd *cobra.Command, flow *string, usage string) {
	cmd.Flags().StringVar(flow, "flow", "", usage)
}

// JSONFlag adds --json.
func JSONFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON, whose fields are stable")
}

// ClustersWith are the clusters of a file with librdkafka's own log going to log.
func ClustersWith(cfg *config.Config, log *slog.Logger) map[string]kafka.Config {
	clusters := maps.Clone(cfg.Clusters)
	logger := kafka.NewLogger(log)
	for name, cluster := range clusters {
		cluster.Logger, cluster.Tokens = logger, tokens.NewCache()
		clusters[name] = cluster
	}
	return clusters
}

// Agreed asks whether to go on, where somebody can answer; yes: it was said before.
func Agreed(cmd *cobra.Command, yes bool) error {
	if yes {
		return nil
	}
	agrees, somebody := terminal.Agrees(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
	switch {
	case !somebody:
		return Usage(cmd, errors.New("nobody is there to be asked; add --yes to go on, or --dry-run to look"))
	case !agrees:
		return errors.New("nothing was done")
	}
	return nil
}

// ErrAsked: JSON is for those who cannot be asked.
var ErrAsked = errors.New("--json needs --yes to go on, or --dry-run to look")
