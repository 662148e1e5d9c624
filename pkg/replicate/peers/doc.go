// Package peers is what the replicas of one flow know of each other by their group on the target:
// whose work each does, and by which rules. Two that differ are reported, and never mixed in silence.
package peers
