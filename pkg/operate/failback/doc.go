// Package failback opens a flow again that has failed over, once its source is back.
//
// The central type is [Failback]. It guarantees:
//
//  1. records that the source holds and that were never copied are found first, and nothing is opened before an
//     operator has said what becomes of them;
//  2. what is given up by that word is noted in the ledger, and nothing else is;
//  3. a command that was killed at any point is given again, and goes on; until it is done no replica works.
//
// It moves no application: both flows of a pair carry what either side lacks, and a cutover of the opposite flow hands
// the applications over.
package failback
