package orders

import (
	"context"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/files"
	"replicator/cmd/replicator/line"
	"replicator/internal/config"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// flags are what the verbs have in common.
type flags struct {
	path, flow       string
	dry, yes, asJSON bool
	by, why          string

	named string // the flow of the file
}

func (f *flags) add(cmd *cobra.Command) {
	line.ConfigFlag(cmd, &f.path)
	line.FlowFlag(cmd, &f.flow, line.OneFlow)
	line.JSONFlag(cmd, &f.asJSON)
}

// addWord adds what a word needs; looks: what --dry-run does.
func (f *flags) addWord(cmd *cobra.Command, looks string) {
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, looks)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "go on without asking")
	cmd.Flags().StringVar(&f.by, "by", "", "who says so (default USER@HOST)")
	cmd.Flags().StringVar(&f.why, "why", "", "the reason, for those who come later")
}

// load reads the file: the flow that is named, and the clusters.
func (f *flags) load() (flow settings.Config, clusters map[string]kafka.Config, err error) {
	cfg, err := config.Load(f.path)
	if err == nil {
		flow, err = cfg.Flow(f.flow)
	}
	if err != nil {
		return flow, nil, err
	}
	return flow, line.ClustersWith(cfg, slog.New(slog.DiscardHandler)), nil
}

// open opens the ledger that counts now, of the flow that is named.
func (f *flags) open(ctx context.Context) (*snapshot.Viewer, error) {
	flow, clusters, err := f.load()
	if err != nil {
		return nil, err
	}
	f.named = flow.Name()
	return inspect.OpenCarrying(ctx, clusters, flow, nil)
}

// word is what is said now.
func (f *flags) word(pauses bool) ledger.PauseWord {
	by := f.by
	if by == "" {
		by = here()
	}
	return ledger.PauseWord{At: time.UnixMilli(time.Now().UnixMilli()).UTC(), By: by, Why: f.why, Pause: pauses,
		Program: files.VersionOf()}
}

// here is who gives a command, as far as the machine knows.
func here() string {
	name, host := "somebody", "a host without a name"
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	if known, err := os.Hostname(); err == nil {
		host = known
	}
	return name + "@" + host
}
