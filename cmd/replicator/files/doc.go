// Package files has the verbs that work on files, or by themselves, and reach no cluster of anybody; and the flags of
// those that leave a report.
package files
