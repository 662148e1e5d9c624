// Package plan writes what is going to be done: [Checked] what a configuration asks for, [Flow] what a run would
// create, alter, copy and leave out, and [Migration] what else moving a cluster has to reckon with.
package plan
