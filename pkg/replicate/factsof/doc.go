// Package factsof makes the facts of package partition of what the ledger and the clusters say, the
// same for the engine and for who sees a flow from outside.
package factsof
