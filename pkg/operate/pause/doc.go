// Package pause stops the copying of topics and partitions by an operator's word, and ends that. The words are notes in
// the ledger (see ledger.Paused): they work from anywhere, outlive restarts, and say who gave them.
//
// It guarantees that once [Names.Say] is done, no transaction of the shards concerned commits a record of what is
// paused: they were fenced, and read the word before they go on.
package pause
