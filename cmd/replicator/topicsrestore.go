package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"replicator/pkg/operate/targettopics"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/topics"
)

// newTopicsRestore makes the verb that puts settings of topics back.
func newTopicsRestore() *cobra.Command {
	var path, flow string
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "restore -c FILE [--flow F] [--yes]",
		Short: "Put back what the flow has set on the target's topics, once it has done its work",
		Long: `restore puts back the settings that the flow has put on topics of the target which
the configuration selects, as its ledger keeps them: on a topic that was there
before, all that it has altered; on one that it has created, what it needed only for
the copy (message.timestamp.*, a raised max.message.bytes), which becomes what the
source has now. 'replicator cutover' (in stages by --groups the last of them) and
'replicator rollback' do so at their end.

Without --yes it only shows what it would do. A setting that somebody has changed
since stays as it is, and so does one that would delete records, such as a shorter
retention: groups may not have read them. Both are named. While replicas of the
flow run it is refused but for topics that were cut over: they would set it again.

` + exitCodes,
		Example: `  replicator topics restore -c replicator.yaml
  replicator topics restore -c replicator.yaml --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := chooseFlows(path, flow, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			flows, err := claims{kinds: []string{policy.Topics}, kept: true}.hold(cmd, on.clusters, on.flows)
			if err != nil {
				return err
			}
			var refused obstacles
			answers := []map[string]any{}
			for _, one := range flows {
				list, err := targettopics.Restore(cmd.Context(), on.clusters, one, yes, on.log)
				if err != nil {
					return fmt.Errorf("flow %s: %w", one.Name(), err)
				}
				refused = append(refused, refusals(list)...)
				if asJSON {
					answers = append(answers, map[string]any{"flow": one.Name(), "put_back": yes, "settings": listed(list)})
					continue
				}
				out := &printer{w: cmd.OutOrStdout()}
				out.line("flow %s, topics of %s:", one.Name(), one.To)
				out.backs(list, yes)
				if out.err != nil {
					return out.err
				}
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), map[string]any{"flows": answers}, true); err != nil {
					return err
				}
			}
			if len(refused) > 0 {
				return refused
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	flowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().BoolVar(&yes, "yes", false, "put them back; without it they are only shown")
	return cmd
}

// refusals are the settings that the target has not taken or not told.
func refusals(list []topics.Back) []error {
	var all []error
	for i := range list {
		if list[i].Err != nil {
			all = append(all, notPutBack{&list[i]})
		}
	}
	return all
}

// notPutBack is a setting that could not be put back.
type notPutBack struct{ *topics.Back }

func (n notPutBack) Error() string {
	return fmt.Sprintf("%s of topic %s: %s: %v", n.Key, n.Target, n.Stays, n.Err)
}

// Remedy tells what to do.
func (n notPutBack) Remedy() string { return n.Fix }

// backs prints what becomes of settings.
func (p *printer) backs(list []topics.Back, really bool) {
	verb := "would be put back"
	if really {
		verb = "put back"
	}
	open := 0
	left := map[string][]*topics.Back{} // by reason
	for i := range list {
		b := &list[i]
		was := fmt.Sprintf("%q", b.Was)
		if b.Default {
			was = "not set"
		}
		switch {
		case b.Gone:
			continue
		case b.Left:
			left[b.Stays] = append(left[b.Stays], b)
		case b.Pending():
			p.line("  %s: %s: %s -> %s: %s", b.Target, b.Key, orWord(b.Now, `""`), was, verb)
		default:
			p.line("  %s: %s stays %s (was %s): %s", b.Target, b.Key, orWord(b.Now, `""`), was, b.Stays)
			if b.Fix != "" {
				p.line("    %s", wrap("what to do: "+b.Fix, "      "))
			}
		}
		open++
	}
	for _, why := range slices.Sorted(maps.Keys(left)) {
		p.leftSettings(left[why])
	}
	if open == 0 {
		p.line("  no setting is to be put back")
	}
}

// leftSettings tells of settings that stay for one reason, which has to do with none of them.
func (p *printer) leftSettings(list []*topics.Back) {
	var names []string
	for _, b := range list {
		if !slices.Contains(names, b.Target) {
			names = append(names, b.Target)
		}
	}
	p.line("%s", wrap(fmt.Sprintf("  not put back: %s of %s, %s: %s", count(len(list), "setting"),
		count(len(names), "topic"), few(names), list[0].Stays), "    "))
	p.line("    %s", wrap("what to do: "+list[0].Fix, "      "))
}

// printBacks tells what became of settings at the end of a cutover or a rollback.
func printBacks(w io.Writer, list []topics.Back, cluster string) error {
	p := &printer{w: w}
	if len(list) > 0 {
		p.line("what the flow had set on topics of %s:", cluster)
		p.backs(list, true)
	}
	return p.err
}
