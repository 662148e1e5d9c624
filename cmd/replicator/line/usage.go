package line

import (
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

// ExitCodes is what the help of each verb says of them.
const ExitCodes = `Exit codes: 0 done, 1 failed, 2 bad usage or configuration.`

// UsageError is a command line that cannot be carried out.
type UsageError struct {
	error
	command string
}

// Usage says of a command line that it is bad.
func Usage(cmd *cobra.Command, err error) *UsageError { return &UsageError{err, cmd.CommandPath()} }

// Remedy names the help to read.
func (e *UsageError) Remedy() string { return fmt.Sprintf("see '%s --help'", e.command) }

func (e *UsageError) Unwrap() error { return e.error }

// WholeNames compiles the pattern that a flag was given; nil for "".
func WholeNames(cmd *cobra.Command, flag, pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	re, err := CompileWhole(flag, pattern)
	if err != nil {
		return nil, Usage(cmd, err)
	}
	return re, nil
}

// CompileWhole compiles a pattern for whole names.
func CompileWhole(flag, pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is not a pattern: %w", flag, pattern, err)
	}
	return re, nil
}
