package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/mm2"
)

// NewImport makes the verb that writes a configuration from MirrorMaker 2's.
func NewImport() *cobra.Command {
	var asJSON bool
	var out, reported string
	var options mm2.Options
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Write a configuration from the properties file of a MirrorMaker 2",
		Long: `import reads the properties file of a dedicated MirrorMaker 2, as
connect-mirror-maker.sh takes it, and writes the same flows as a configuration
of this program. It reaches no cluster.

The configuration goes to standard output, or to -o. The report goes to standard
error, or to --report: it says of every key, line by line, whether it is mapped,
is better left out (with the reason), or has no equivalent (with what to do
instead); what MirrorMaker does by default and is done otherwise here; and what
to do before the first run. No file is overwritten.

No secret is written: the configuration reads passwords and keys from variables
of the environment, which the report lists. Java's stores are read as they are.

A file is refused, with lines, when it has keys that MirrorMaker 2 does not know
(--ignore-unknown lists them instead), patterns that RE2 cannot express, logins
that cannot be used here, or flows that keep topic names in a circle.

` + line.ExitCodes,
		Example: `  replicator import mm2.properties > replicator.yaml
  replicator import mm2.properties -o replicator.yaml --report import.txt
  replicator import mm2.properties --flow "A->B" --ignore-unknown`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return importFile(cmd, args[0], out, reported, asJSON, options)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print both as JSON, where no file is named for them")
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the configuration to this new file")
	cmd.Flags().StringVar(&reported, "report", "", "write the report to this new file")
	cmd.Flags().StringArrayVar(&options.Flows, "flow", nil, "import only this flow, as A->B; may be repeated")
	cmd.Flags().BoolVar(&options.IgnoreUnknown, "ignore-unknown", false, "list unknown keys instead of refusing the file")
	return cmd
}

func importFile(cmd *cobra.Command, path, out, reported string, asJSON bool, options mm2.Options) error {
	data, err := os.ReadFile(path)
	if err != nil {
		var inPath *fs.PathError
		if errors.As(err, &inPath) {
			err = inPath.Err
		}
		return &mm2.Problems{File: path, List: []mm2.Problem{{Message: fmt.Sprintf("cannot be read: %v", err)}}}
	}
	result, err := mm2.Import(filepath.Base(path), data, options)
	if err != nil {
		return err
	}
	config := out
	if config == "" {
		config = "replicator.yaml"
	}
	for _, path := range []string{out, reported} { // both or none
		if _, err := os.Lstat(path); path != "" && err == nil {
			return &existsError{path}
		}
	}
	if asJSON {
		return importedJSON(cmd.OutOrStdout(), out, reported, result.Config, result.Report(filepath.Base(path), config))
	}
	if err := writeNew(reported, cmd.ErrOrStderr(), result.Report(filepath.Base(path), config)); err != nil {
		return err
	}
	return writeNew(out, cmd.OutOrStdout(), result.Config)
}

// importedJSON prints what has no file of its own.
func importedJSON(w io.Writer, out, reported, config, report string) error {
	answer := map[string]string{}
	for _, one := range []struct{ name, path, text string }{{"config", out, config}, {"report", reported, report}} {
		if one.path == "" {
			answer[one.name] = one.text
			continue
		}
		answer[one.name+"_file"] = one.path
		if err := writeNew(one.path, nil, one.text); err != nil {
			return err
		}
	}
	return answers.Print(w, answer, true)
}

// writeNew writes a file that is not there yet, or to w where path is "".
func writeNew(path string, w io.Writer, text string) error {
	if path == "" {
		_, err := io.WriteString(w, text)
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &existsError{path}
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// existsError is a file in the place of one to be written.
type existsError struct{ path string }

func (e *existsError) Error() string { return e.path + " exists, and no file is overwritten" }

// Remedy tells the operator what to do.
func (e *existsError) Remedy() string { return "name another file, or move that one away" }
