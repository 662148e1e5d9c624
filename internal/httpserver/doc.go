// Package httpserver answers for a daemon's metrics and health at /metrics, /healthz and /readyz, and
// lets a page answer at all other paths.
//
// Whoever asks takes little of a process whose business is another: a [Server] bounds the time of every request, and
// a door the number of connections, at which silent ones make room for those that ask. It only answers questions:
// whatever would change something is refused.
package httpserver
