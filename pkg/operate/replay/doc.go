// Package replay keeps records in files, and writes records to topics as they were.
//
// A [File] takes records as lines of JSON, close to what kcat -J prints, and exact; it is written whole or not at all.
// [Import] replays such a file, a [Job] any records. Both guarantee:
//
//  1. a record keeps its bytes, nulls, headers in their order, timestamp and partition;
//  2. each record is written once, also where a run was killed and is given again: progress is written in the
//     transaction that holds the records, and a run fences the one before it;
//  3. a topic that would alter a record is refused, and so is one that is not there.
//
// It decides nothing about which records, and knows of no flow.
package replay
