// Package handover is what a cutover, a rollback or a failover leaves in the ledger: which one it was, how far
// it came, where logs and groups stood, and which way each shard runs since.
//
// The central types are [Record], [Failover] and [Direction], all JSON in notes; docs/FORMATS.md shows them. The engine
// reads them, to keep off what runs the other way, or not at all; only the packages cutover and failover of the verbs
// write them.
package handover
