// Package verify compares what a flow has copied with its source, record by record, and says what
// is equal, what differs and what could not be compared.
//
// The central type is [Report], whose JSON has a version of its own. It guarantees:
//
//  1. "equal" is said only of what was read on both sides and compared;
//  2. what was left out, given up, or not copied yet is counted and named;
//  3. memory does not grow with the logs: partitions are streamed, a few at a time.
package verify
