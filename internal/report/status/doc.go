// Package status writes how flows are doing: what needs somebody first, then a table of partitions and one of
// groups. [Show] sums up by topic what does not fit a terminal, [ShowAll] prints everything that a [Part] leaves, and
// what has happened in several partitions of a topic is one line unless each is asked for.
package status
