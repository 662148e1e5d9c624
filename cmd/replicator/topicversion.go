package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/pkg/operate/repartition"
	announce "replicator/pkg/versions"
)

// versionFlags are what topic-version was asked for.
type versionFlags struct {
	path, cluster, fromCluster, toCluster string
	groups                                string
	check, retire, abandon, asJSON        bool
	repartition.Options
}

// newTopicVersion makes the verb that changes a topic's partition count.
func newTopicVersion() *cobra.Command {
	f := &versionFlags{}
	cmd := &cobra.Command{
		Use:   "topic-version -c FILE --topic T --from v0 --to v1 --partitions N",
		Short: "Change a topic's partition count by moving it to a new version, in the order of keys",
		Long: `topic-version makes T.v1 with N partitions, copies T (or T.v0) into it by key, and
moves publishers and groups over. What it does is announced on topic
` + announce.Meta + `; applications follow that through the Go package pkg/versions:

  preparing  T.v1 is filled, publishers write to the old version
  switching  publishers stand still; once the old version was silent for
             --silent-for, the rest is copied; each group that has read the old
             version to its end, and left, is put to the end of what was copied
  current    publishers and consumers go on with T.v1

Killed at any moment, the same command goes on. It refuses what would lose the
order of a key: a --partitioner that does not explain where keys stand. Fewer
partitions are fine, and so are compacted topics. The configuration may have a
single cluster and no flows; --cluster is needed only if it has several, and
--from-cluster and --to-cluster name two.

With --no-copy T.v1 begins empty: publishers go on with it at once, without standing
still, and groups read the old version to its end first.

Clusters with a prefix are refused.

--retire deletes the old version afterwards. --abandon gives T.v1 up before it is
current: publishers go on with the old version.

` + line.ExitCodes,
		Example: `  replicator topic-version -c site.yaml --cluster old --topic orders --from v0 --to v1 --partitions 12
  replicator topic-version -c site.yaml --cluster old --topic orders --from v0 --to v1 --partitions 12 --check
  replicator topic-version -c site.yaml --cluster old --topic orders --from v0 --to v1 --abandon
  replicator topic-version -c site.yaml --cluster old --topic orders --from v0 --to v1 --retire`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Say = func(format string, args ...any) {
				if f.asJSON {
					_ = answers.Print(cmd.OutOrStdout(), map[string]string{"said": fmt.Sprintf(format, args...)}, false)
					return
				}
				fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
			}
			do, err := f.choose()
			if err != nil {
				return line.Usage(cmd, err)
			}
			cfg, err := config.LoadClusters(f.path)
			if err != nil {
				return err
			}
			if err := f.clusters(cfg); err != nil {
				return line.Usage(cmd, err)
			}
			return do(cmd.Context(), f.Options)
		},
	}
	f.flags(cmd)
	return cmd
}

func (f *versionFlags) flags(cmd *cobra.Command) {
	line.ConfigFlag(cmd, &f.path)
	flags := cmd.Flags()
	flags.BoolVar(&f.asJSON, "json", false, "print one line of JSON for each thing that is said")
	flags.StringVar(&f.cluster, "cluster", "", "the cluster, by its name in the configuration")
	flags.StringVar(&f.fromCluster, "from-cluster", "", "with --to-cluster: where the old version is")
	flags.StringVar(&f.toCluster, "to-cluster", "", "with --from-cluster: where the new version is made")
	flags.StringVar(&f.Topic, "topic", "", "the topic, without a version")
	flags.StringVar(&f.FromVersion, "from", "", "the version that is current; v0 may be the plain topic")
	flags.StringVar(&f.ToVersion, "to", "", "the version to move to")
	flags.Int32Var(&f.Partitions, "partitions", 0, "how many partitions the new version has")
	flags.StringVar(&f.Partitioner, "partitioner", "", "how publishers place keys: "+
		strings.Join(repartition.Partitioners(), ", ")+" (default "+repartition.Java+", if it fits)")
	flags.BoolVar(&f.Force, "force", false, "copy keys that stand elsewhere; with --retire delete records that came late")
	flags.BoolVar(&f.NoCopy, "no-copy", false, "the new version begins empty and current; groups read the old one first")
	flags.StringVar(&f.groups, "groups", string(repartition.Wait),
		"groups without members that have not read everything: wait, refuse or leave")
	flags.DurationVar(&f.SilentFor, "silent-for", 5*announce.Lease,
		fmt.Sprintf("for how long nothing may arrive; more than %s and the longest write", announce.Lease))
	flags.BoolVar(&f.check, "check", false, "say what would be done, and what stands against it; change nothing")
	flags.BoolVar(&f.retire, "retire", false, "delete the old version, after the move")
	flags.BoolVar(&f.abandon, "abandon", false, "give the new version up, before it is current")
	for _, name := range []string{"topic", "from", "to"} {
		_ = cmd.MarkFlagRequired(name)
	}
}

// choose says what the flags ask for.
func (f *versionFlags) choose() (func(context.Context, repartition.Options) error, error) {
	f.Groups = repartition.Groups(f.groups)
	if !slices.Contains([]repartition.Groups{repartition.Wait, repartition.Refuse, repartition.Leave}, f.Groups) {
		return nil, fmt.Errorf("--groups %s: wait, refuse or leave", f.groups)
	}
	switch {
	case f.retire && f.abandon, f.check && (f.retire || f.abandon):
		return nil, errors.New("--check, --retire and --abandon exclude each other")
	case f.retire:
		return repartition.Retire, nil
	case f.abandon:
		return repartition.Abandon, nil
	case f.Partitions < 1:
		return nil, errors.New("--partitions must be at least 1")
	case f.SilentFor <= announce.Lease:
		return nil, fmt.Errorf("--silent-for must be more than %s, for which a publisher may write without news",
			announce.Lease)
	case f.check:
		return repartition.Check, nil
	}
	return repartition.Move, nil
}

// clusters finds the cluster, or the two.
func (f *versionFlags) clusters(cfg *config.Config) error {
	from, to := f.fromCluster, f.toCluster
	switch {
	case (from == "") != (to == ""), f.cluster != "" && from != "":
		return errors.New("give --cluster, or both --from-cluster and --to-cluster")
	case from == "":
		from, to = f.cluster, f.cluster
	}
	known := slices.Sorted(maps.Keys(cfg.Clusters))
	if from == "" && len(known) == 1 {
		from, to = known[0], known[0]
	}
	clusters := line.ClustersWith(cfg, slog.New(slog.DiscardHandler))
	for _, name := range []string{from, to} {
		if _, ok := clusters[name]; !ok {
			return fmt.Errorf("cluster %q: choose one with --cluster: %s", name, strings.Join(known, ", "))
		}
	}
	f.From, f.To = clusters[from], clusters[to]
	return repartition.NoPrefix(cfg.Flows, from, to)
}
