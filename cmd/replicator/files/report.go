package files

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/proof"
	"replicator/internal/terminal"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/settings"
)

// Report is the flags of a verb that keeps its report.
type Report struct {
	path, key string
	overwrite bool
}

// Flags adds them to a verb.
func (w *Report) Flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.path, "report", "", "write the JSON to this file, too")
	cmd.Flags().StringVar(&w.key, "sign", "", "sign the report with this file's private key, into FILE.sig")
	cmd.Flags().BoolVar(&w.overwrite, "overwrite", false, "let --report replace whatever file has that name")
	_ = cmd.MarkFlagFilename("sign", "pem", "key")
}

// Check refuses flags that mean nothing without another one.
func (w *Report) Check() error {
	if w.key != "" && w.path == "" {
		return errors.New("--sign signs the file of --report: name that too")
	}
	return nil
}

// Verify makes sure, before the work begins, that the report of verify can be kept; nil where none is asked for.
func (w *Report) Verify(filters verify.Filters, flows []settings.Config) (*proof.File, error) {
	if w.path == "" {
		return nil, nil
	}
	asked, err := w.asked(filters, flows)
	if err != nil {
		return nil, err
	}
	file, err := proof.Open(asked)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	return file, nil
}

// Drill is Verify for the report of drill.
func (w *Report) Drill(flows []settings.Config) (*proof.DrillFile, error) {
	if w.path == "" {
		return nil, nil
	}
	asked, err := w.asked(verify.Filters{}, flows)
	if err != nil {
		return nil, err
	}
	file, err := proof.OpenDrill(asked)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	return file, nil
}

func (w *Report) asked(filters verify.Filters, flows []settings.Config) (proof.Report, error) {
	asked := proof.Report{Path: w.path, Overwrite: w.overwrite, Filters: filters}
	if w.key != "" {
		key, err := proof.ReadKey(w.key)
		if err != nil {
			return asked, fmt.Errorf("--sign: %w", err)
		}
		asked.Key = key
	}
	for _, flow := range flows {
		asked.Flows = append(asked.Flows, flow.Name())
	}
	return asked, nil
}

// NewReport makes the verb for reports that were kept.
func NewReport() *cobra.Command {
	cmd := &cobra.Command{Use: "report", Short: "Check a report that was kept", Args: cobra.NoArgs}
	cmd.AddCommand(newReportVerify())
	return cmd
}

func newReportVerify() *cobra.Command {
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE --key PUBLIC [--json]",
		Short: "Check that a report is what was signed",
		Long: `report verify checks that a report which --report and --sign have written is still,
byte by byte, what the owner of the key has signed. The signature is in FILE.sig. No
cluster is asked. What the report says is printed, and has no part in the exit code.

The same with openssl, whose public key PUBLIC is:

  openssl pkeyutl -verify -pubin -inkey PUBLIC -rawin -in FILE -sigfile FILE.sig

` + line.ExitCodes + ` It fails where the report was changed,
is signed with another key, or not signed, and where the file is no report.`,
		Example: `  replicator report verify proof.json --key public.pem`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			checked, err := proof.Check(args[0], key)
			if asJSON {
				answer := answers.Signed{Report: args[0], Holds: err == nil}
				if err == nil {
					answer.SignedBy = checked.Key
				} else {
					answer.Why = err.Error()
				}
				if printing := answers.Print(cmd.OutOrStdout(), answer, true); printing != nil {
					return printing
				}
				return err
			}
			if err != nil {
				return err
			}
			p := terminal.NewPrinter(cmd.OutOrStdout())
			p.Line("%s is what was signed with %s", args[0], checked.Key)
			for _, v := range slices.Concat(checked.Flows, checked.Drills) {
				p.Line("it says     flow %s: %s, up to %s", v.Flow, v.Verdict, v.Taken.Format(time.RFC3339))
			}
			for _, f := range checked.Failed {
				p.Line("it says     flow %s could not be looked at: %s", f.Flow, f.Error)
			}
			return p.Err()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose fields are stable")
	cmd.Flags().StringVar(&key, "key", "", "the public key of who has signed (PEM)")
	_ = cmd.MarkFlagRequired("key")
	return cmd
}
