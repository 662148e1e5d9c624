package files

import (
	"fmt"
	"runtime"
	"runtime/debug"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
)

// NewVersion makes the verb that tells what this binary is.
func NewVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit, and what it was built with",
		Long:    "version prints what a report of a problem should begin with.\n\n" + line.ExitCodes,
		Example: `  replicator version`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, librdkafka := ck.LibraryVersion()
			if asJSON {
				return answers.Print(cmd.OutOrStdout(), map[string]string{"version": VersionOf(), "commit": CommitOf(),
					"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "librdkafka": librdkafka}, true)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "replicator %s\ncommit     %s\ngo         %s %s/%s\nlibrdkafka %s, %s\n",
				VersionOf(), CommitOf(), runtime.Version(), runtime.GOOS, runtime.GOARCH, librdkafka, ck.LibrdkafkaLinkInfo)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose fields are stable")
	return cmd
}

// release is the version that 'make release' was given; other builds have none.
var release string

// VersionOf is the version of a release, else the module's, as the build noted it.
func VersionOf() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// CommitOf is the commit that was built, with a mark if it had changes.
func CommitOf() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	commit := settings["vcs.revision"]
	switch {
	case commit == "":
		return "unknown"
	case settings["vcs.modified"] == "true":
		commit += " with changes"
	}
	if at := settings["vcs.time"]; at != "" {
		commit += " of " + at
	}
	return commit
}
