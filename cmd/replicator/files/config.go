package files

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/internal/terminal"
)

// NewConfig makes the verb that shows what a configuration amounts to. Its help is the reference of all keys.
func NewConfig() *cobra.Command {
	var path string
	var asJSON, schema bool
	cmd := &cobra.Command{
		Use:   "config -c FILE",
		Short: "Print what a configuration amounts to, and where each value comes from; its help has every key",
		Long: `config prints every key with the value that holds, and where it comes from: a line
of the file, the default, a variable of the environment, or a file. Of clusters it
prints the properties that are given. What came from the environment or from a file
is printed as the reference to it, and a secret as ***. It reaches no cluster.

With --schema it prints a JSON schema of configurations instead, for editors; the
same is in configs/replicator.schema.json. An editor with the YAML language server
takes it by this line at the top of a configuration:

  # yaml-language-server: $schema=replicator.schema.json

` + line.ExitCodes + `

The configuration, every key with its default:

` + config.Reference(),
		Example: `  replicator config -c replicator.yaml
  replicator config -c replicator.yaml --json
  replicator config --schema > replicator.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if schema {
				_, err := cmd.OutOrStdout().Write(config.Schema())
				return err
			}
			loaded, err := config.Read(path)
			if err != nil {
				return err
			}
			if asJSON {
				return answers.Print(cmd.OutOrStdout(), effective{path, loaded.Settings}, true)
			}
			return printSettings(terminal.NewPrinter(cmd.OutOrStdout()), loaded.Settings)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the configuration file")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	line.JSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON schema of configurations")
	cmd.MarkFlagsOneRequired("config", "schema")
	cmd.MarkFlagsMutuallyExclusive("config", "schema")
	return cmd
}

// effective is the answer in JSON.
type effective struct {
	File     string           `json:"file"`
	Settings []config.Setting `json:"settings"`
}

// printSettings prints keys below their sections, in columns.
func printSettings(p *terminal.Printer, list []config.Setting) error {
	var keys, values int
	for _, s := range list {
		keys, values = max(keys, len(s.Key)), max(values, min(len(valueOf(s)), widestValue))
	}
	section := ""
	for i, s := range list {
		if s.Section != section || i == 0 {
			if section = s.Section; section != "" {
				p.Line("%s", section)
			}
		}
		indent := "  "
		if section == "" {
			indent = ""
		}
		p.Line("%s%-*s  %-*s  %s", indent, keys+2-len(indent), s.Key, values, valueOf(s), originOf(s))
	}
	return p.Err()
}

// widestValue is how wide a value may be for those of all keys to stand in a column.
const widestValue = 48

func valueOf(s config.Setting) string {
	if text, is := s.Value.(string); is && text != "" {
		return text
	}
	text, err := json.Marshal(s.Value)
	if err != nil {
		return fmt.Sprint(s.Value)
	}
	return string(text)
}

func originOf(s config.Setting) string {
	if s.From == config.FromDefault {
		return "default"
	}
	var names []string
	for _, ref := range s.Names {
		names = append(names, ref.String())
	}
	if s.Line > 0 {
		names = append(names, fmt.Sprintf("line %d", s.Line))
	}
	return strings.Join(names, ", ")
}
