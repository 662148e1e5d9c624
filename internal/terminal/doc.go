// Package terminal is what every answer for people is written with: a [Printer] of lines that fit a terminal as it
// comes (80 x 24), tables that leave out columns rather than cut numbers, words for counts, sizes and short lists,
// and a [Screen] that draws how far a copy is below the log, where standard error is a terminal.
//
// It knows nothing of flows: what is printed of them is in package report.
package terminal
