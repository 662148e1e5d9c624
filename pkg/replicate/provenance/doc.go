// Package provenance tells who wrote what stands in a log, and whose the target's topics are.
//
// The central type is [Author]: this flow, the opposite one, another of ours, somebody foreign, or unknown. It is the
// answer about a record of the target ([Writers.Author]), a batch of the source ([SourceWriters.LeftOut])
// and a topic that another flow fills ([Writers.Taken]), and all of it stands on what ledgers claim. [Target] says
// which target topics are a flow's own, and [Neighbours] finds the flows of other configurations and the circles that
// records could go in. They guarantee:
//
//  1. a topic is altered only once it is known to be the flow's own: its ledger has a map of it or says that it was
//     created by the flow, or it holds no record at all;
//  2. what cannot be found out is said to be unknown, and is no reason to advise a deletion;
//  3. of two flows that start at the same moment, at least one sees the other before it copies anything.
//
// Who asks, when, and by what evidence, is in docs/decisions/035-who-asks-who-wrote-it.md. One question is not asked
// here: whether an offset of a target partition is one of the flow's own copies or markers. The commit of each
// transaction decides that, from the map and the offsets that the brokers answer with, without a question to anybody;
// the map's stretches of foreign records (package offsets) are what it found.
package provenance
