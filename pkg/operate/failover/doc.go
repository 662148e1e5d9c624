// Package failover ends a flow whose source is dead: it sees to it that no replica goes on, that readers of the target
// wait for nothing of ours, and tells what is known of the loss.
//
// The central type is [Failover]. It guarantees:
//
//  1. no answer of the source is needed, and no question to it lasts longer than [Patience];
//  2. a source that answers, and to which somebody writes, is refused, unless an operator says that it is dead;
//  3. from the record on no replica of the flow writes to the target, whatever wakes or comes back;
//  4. a command that was killed at any point is given again, and goes on;
//  5. what is not known is said to be unknown.
//
// It moves no group: groups stand where the flow has put them, or consumers of the target.
package failover
