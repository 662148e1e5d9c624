// Package orphans finds the records of a source that its flow has not copied, as they stand there after a failover.
//
// The central type is [Found]. It guarantees:
//
//  1. an orphan is a visible record from where copying goes on to the end of the source that no flow of ours has
//     written there, and each is handed over once, in the order of its partition;
//  2. what cannot be read is told and never passed over in silence: deleted by retention meanwhile, in a transaction
//     that is open, in a topic that is gone;
//  3. memory holds a page or two, whatever the length of the logs.
//
// [Found.Export] writes them to a file, [Found.ToTopics] into topics of their own on the target. It moves no progress:
// a flow that runs copies what is an orphan now.
package orphans
