package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"replicator/internal/answers"
	"replicator/pkg/operate/cutover"
)

// undoCutover takes the record back.
func (f *handoverFlags) undoCutover(ctx context.Context, cmd *cobra.Command, c *cutover.Cutover) error {
	if err := c.MayUndo(ctx); err != nil {
		return err
	}
	if f.dry && f.asJSON {
		return f.previewed(cmd.OutOrStdout(), nil)
	}
	if f.dry {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "cutover %s would be forgotten\n", c.Found().ID)
		return err
	}
	if err := f.agreed(cmd); err != nil {
		return err
	}
	record, err := c.Undo(ctx)
	if err != nil {
		return err
	}
	if f.asJSON {
		f.answer.Undone, f.answer.Record = true, &record
		return answers.Print(cmd.OutOrStdout(), f.answer, true)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "cutover %s is forgotten: the flow counts as not cut over\n", record.ID)
	return err
}
