// Package inspect tells an operator how a flow stands: status, offsets, what is drained or aged
// out, cuts and orders about them, names that match nothing.
//
// Each report is a function of a [snapshot.Viewer], and its types are the JSON that the commands print: their
// names and values are the same in every release. Whether a partition is copied, waits or is cut is not decided
// here, but in package partition, which the engine asks as well.
package inspect
