// Package txlimit says how long a flow's transactions may last, by what the target allows (transaction.max.timeout.ms),
// and how much they may hold, by how fast it takes them.
//
// [Longest] is what is known of the time, for all shards of a flow; [Size] is what one shard has learned of the size.
package txlimit
