// Package line is what all verbs have in common on the command line: flags, exit codes, bad usage, and the question
// whether to go on.
package line
