// Package workload writes the data that tests mirror: transactional, plain and
// compacted topics, many consumer groups, and applications that go on working.
//
// What a call writes is decided by its seed, down to the order of the records in
// each partition. Only the clock is not: records without an explicit timestamp
// carry the time of writing. Nothing of this module is imported, and the client
// is franz-go, so that the engine under test has no hand in its own test data.
//
// A call returns once the broker has acknowledged everything. None waits for a
// guessed time; what must become true is polled for until the context ends.
package workload
