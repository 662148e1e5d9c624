// Package snapshot sees one flow from outside: what both clusters and the flow's ledger say
// at one moment, and nothing of any process that copies.
//
// The central types are [Viewer], which holds the connections, [Snapshot], which is what was seen, and
// [PartitionView], one partition of it. They guarantee:
//
//  1. nothing is written to either cluster;
//  2. the order in which things are asked makes the answers fit each other: positions of groups before the
//     ends, the target's ends before the ledger, the source's ends after it, so that no lag is negative and no
//     map explains less than the ends show;
//  3. what could not be seen is named, and never taken for what is not there.
//
// What follows from a snapshot is said by the packages of the verbs.
package snapshot
