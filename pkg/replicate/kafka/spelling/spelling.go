// Package spelling finds what a mistyped name most likely means.
package spelling

import "slices"

// Nearest is the one of the known names that a mistyped one most likely means,
// or "" if none is near: at most a third of the letters may differ, two at least
// of longer words.
func Nearest(mistyped string, known []string) string {
	nearest, least := "", len(mistyped)/3+1
	if len(mistyped) > 4 {
		least = max(least, 3)
	}
	for _, name := range slices.Sorted(slices.Values(known)) {
		if n := distance(mistyped, name); n < least {
			nearest, least = name, n
		}
	}
	return nearest
}

// distance counts the letters to insert, delete or change from one name to the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
