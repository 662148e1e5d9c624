// Package identity tells whether a ledger is that of a flow, or of another one that has its name.
//
// The central type is [Signer]. It guarantees that nothing is altered, and nobody shut out, before the ledger
// was found to be the flow's own; that names of clusters may change where nothing depends on them; and that a
// cluster with another id is believed only where topics with the ids that the ledger knows are there.
package identity
