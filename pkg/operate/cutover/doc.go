// Package cutover moves the applications of a flow from its source to its target, and back: it says
// which steps that takes, asks whether each is done, and keeps the record of it in the ledger.
//
// The central types are [Cutover] and [Rollback]. They guarantee:
//
//  1. a command that is given again goes on where the clusters stand, whatever ended it before;
//  2. a promise that does not hold stops it, or is noted as given up where an operator forces it;
//  3. a rollback brings records back by the same map, seen from the other side: both logs have one order at the
//     point where the direction changes.
//
// It is the only package of pkg/operate that starts an engine.
package cutover
