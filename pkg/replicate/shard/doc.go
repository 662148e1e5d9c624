// Package shard copies one shard of a flow, from the moment the group gives it to this process until
// it takes it back.
//
// The central type is [Worker], whose Run is a loop around sessions; [Flow] is what all workers of a flow share,
// [published.Shard] what a worker lets others see.
//
// A session is made of parts that own their state: the assigner decides what is copied and fills the assignment, the
// cutFinder compares logs that may be cut, the intake holds what came from the source, the copier writes it, the
// transactions commit it with the ledger's records, the trimmer keeps maps small. What outlives sessions is the
// worker's: the quarantine, the signs of a cut, the size of transactions.
//
// They guarantee:
//
//  1. data, map and progress of a chunk become visible on the target together or not at all;
//  2. nothing is remembered over a failure: the next session settles what was open, asks the group whether the
//     shard is still its own, and reads the ledger, in this order;
//  3. a partition that cannot be copied stops with a reason and a remedy, and the others go on;
//  4. what was decided of a partition is in the ledger before its first record is read.
package shard
