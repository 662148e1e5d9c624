// Package targettopics makes a flow's topics on the target before anything is copied, and puts back
// what the flow has set on them for the time of the copy.
//
// Only topics that are the flow's own are touched; each change was noted in the ledger before it was made, and
// what an operator has changed since stays.
package targettopics
