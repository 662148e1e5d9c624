// Package clients opens what those who copy a flow and those who only view it have in common: the
// clients that know both clusters, the reader of the ledger, and the policy.
package clients
