// Package wait is how the program waits: [Retry] spaces the tries of one streak of failures and logs
// the first of each, [Pause] lets time pass unless it is told to stop.
package wait
