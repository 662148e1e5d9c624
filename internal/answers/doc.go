// Package answers is what the commands print with --json, where it is not a report of pkg/operate as it stands.
//
// Scripts read these: fields may be added, none changes its name or meaning. A list is never null. Nothing is decided
// here; whether a command has failed is told by its exit code, and why by its error.
package answers
