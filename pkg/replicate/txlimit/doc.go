// Package txlimit compares the time that a flow's transactions need with what the target allows
// (transaction.max.timeout.ms).
package txlimit
