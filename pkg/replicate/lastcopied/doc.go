// Package lastcopied compares the record that was copied last on both sides. Ends and epochs do not
// show that a log was put back to an earlier state and has grown since; that record does.
package lastcopied
