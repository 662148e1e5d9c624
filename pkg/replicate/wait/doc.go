// Package wait is how the program waits, and how it says the same thing once.
//
//   - [Pause] lets time pass, unless a context ends before.
//   - [Until] asks again and again, until the answer is yes.
//   - [Retry] spaces the tries of one streak of failures, and logs the first of each.
//   - [Logged] remembers what was logged, so that it is logged again only when it is something else.
//
// It knows nothing of Kafka, and starts no goroutine.
package wait
