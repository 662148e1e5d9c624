// Package judge reads two clusters and says what differs: the last word of
// the tests on real brokers.
//
// It reads with franz-go, while the engine reads and writes with librdkafka,
// and it imports nothing of this module, so that no mistake can be made twice.
// [Compare] holds two topics against each other, [Groups] the positions of
// consumer groups, [BothWays] those of a group that uses both sides, whose logs hold
// the same records in two orders. All read read_committed and never write.
//
//  1. Every visible record of both sides is read: a sample is never taken.
//  2. Records are compared in order, per partition: key, value, headers with
//     their order, timestamp; null and empty are different things.
//  3. Memory is bounded: records are hashed as they arrive and forgotten, and
//     the search for where two logs meet again looks at most maxLook ahead.
//     [Groups] keeps 16 bytes for each record of the topics it is given.
//  4. A verdict over nothing is not a pass: no partition or no group position
//     to look at is a fault of the test and reported as one.
//
// A target position is exact when as many visible records lie before it on the
// target as lie before the group's position on the source.
package judge
