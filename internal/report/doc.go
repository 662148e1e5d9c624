// Package report writes for people what the packages below pkg/operate have found out: how a cutover stands, what a
// verification has seen, what is drained, what a ledger says. Its parts are status, which sums a flow up for a
// terminal, and plan, which tells what a run or a migration would do.
//
// It decides nothing: what a state is, and what to do about it, comes with what is printed. The same answers as JSON
// are in package answers.
package report
