// Package bench compares ways to copy a topic between two clusters: a plain
// librdkafka loop, a raw copy without transactions, this program, and MirrorMaker 2.
//
// The central function is [Compare]. It copies [Data], which is there before, and
// keeps up with a [Stream], which is written meanwhile. What its figures rest on:
//
//  1. one run holds all contestants, in turn, several rounds of them: a figure
//     counts as a ratio within one round;
//  2. every contestant is a process of its own, and its time, CPU and memory are
//     that process's;
//  3. afterwards its target topic is read and compared with the source, record
//     by record: a copy that is not equal counts as failed;
//  4. brokers are warmed up by copies that are not counted;
//  5. goals are judged by the figures of the same run, and what was not measured
//     is said to be so.
//
// It starts no brokers: the test that calls it does.
package bench
