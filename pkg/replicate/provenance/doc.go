// Package provenance tells who wrote what stands on the target, and whose its topics are.
//
// The central types are [Writers], which names the writer of a record by claims, ledgers and groups, [Target], which
// says which target topics are a flow's own, and [Neighbours], which finds the flows of other configurations and
// the circles that records could go in. They guarantee:
//
//  1. a topic is altered only once it is known to be the flow's own: its ledger has a map of it or says that it was
//     created by the flow, or it holds no record at all;
//  2. what cannot be found out is said to be unknown, and is no reason to advise a deletion;
//  3. of two flows that start at the same moment, at least one sees the other before it copies anything.
package provenance
