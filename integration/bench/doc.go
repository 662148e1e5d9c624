// Package bench compares ways to copy one topic between two clusters: a plain
// librdkafka loop, this program, and MirrorMaker 2.
//
// The central function is [Compare]. What its figures rest on:
//
//  1. one run holds all contestants, in turn, several rounds of them: a figure
//     counts as a ratio to the plain loop of the same round;
//  2. every contestant is a process of its own, and its time, CPU and memory are
//     that process's;
//  3. afterwards its target topic is read and compared with the source, record
//     by record: a copy that is not equal counts as failed;
//  4. brokers are warmed up by copies that are not counted.
//
// It starts no brokers: the test that calls it does.
package bench
