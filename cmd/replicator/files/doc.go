// Package files has the verbs that work on files and reach no cluster, and the flags of those that leave a report.
package files
