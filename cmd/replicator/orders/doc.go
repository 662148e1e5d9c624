// Package orders has the verbs by which an operator's word goes to the ledger of a flow, and that which shows such
// words: they work from anywhere, and a flow that runs takes them up.
package orders
