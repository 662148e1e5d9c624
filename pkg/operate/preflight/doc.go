// Package preflight tells what a migration has to reckon with before anything is copied: which
// topics are made or altered, what is in the way, which rights are missing, and how large, how busy and how
// used the source is.
//
// The central types are [FlowPlan], what a run would do and what forbids it, and [Migration], what the brokers
// report beyond that. Both only read. What they say a run would do is decided by the packages that do it.
package preflight
