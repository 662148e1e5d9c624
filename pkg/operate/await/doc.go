// Package await waits until a flow is where a script needs it: no more than so many records behind, groups in sync,
// the source drained or aged out.
//
// A [Waiter] only looks; a replica has to do the work. It tells what is missing first, and ends at once where waiting
// does not bring it about, such as a group that cannot be read or a closed flow.
package await
