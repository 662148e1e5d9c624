// Package retention measures how near the target's retention is to what groups have not read
// there.
package retention
