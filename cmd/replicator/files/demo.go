package files

import (
	"log/slog"

	"github.com/spf13/cobra"

	"replicator/internal/demo"
)

// NewDemo makes the verb that shows a mirror with no cluster at hand.
func NewDemo() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Mirror two embedded clusters and compare both sides; needs no cluster",
		Long: `demo starts two embedded clusters in this process, fills one with plain and
transactional records, a part of them aborted, lets a consumer group read one
half, mirrors everything with the real engine, lets the group go on on the
target, and prints source and target side by side.

What it prints is computed from the records and offsets that were read. It takes
some seconds, ends by itself, needs no configuration and reaches no cluster of
yours. It exits with 0 if both sides are equal, else with 1.`,
		Example: `  replicator demo
  replicator demo --verbose`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var options demo.Options
			if verbose {
				options.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			}
			return demo.Run(cmd.Context(), cmd.OutOrStdout(), options)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the engine's log to standard error")
	return cmd
}
