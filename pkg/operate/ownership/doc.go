// Package ownership shows whose ledger it is, and accepts clusters that were built anew in place of
// those that the ledger knows, because an operator says so.
package ownership
