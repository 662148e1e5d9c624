// Package drill rehearses a failover while both clusters live, and moves nothing: what would be lost now, where each
// group would stand, whether the rights are there, and how long the steps take.
//
// The central types are [Report], whose JSON has a version of its own, and the drill's test topic. They guarantee:
//
//  1. nothing of the flow is changed: no shard is fenced, no position is committed, no record of a ledger is written;
//  2. all that is written goes to a topic of the target that the drill has made itself, and deletes by its id;
//  3. what a killed drill has left is deleted by the next one, if its name and all of its content are a drill's;
//  4. "ready" is said only where everything was asked and answered.
//
// RPO is what a failover at this moment would lose, RTO how long the failover's own steps have taken here.
package drill
