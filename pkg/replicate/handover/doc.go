// Package handover is what a cutover or a rollback leaves in the ledger: which one it was, how far
// it came, where logs and groups stood, and which way each shard runs since.
//
// The central types are [Record] and [Direction], both JSON in notes; docs/FORMATS.md shows them. The engine reads
// them, to keep off what runs the other way; only package cutover of the verbs writes them.
package handover
