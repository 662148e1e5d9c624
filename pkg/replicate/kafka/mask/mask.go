// Package mask takes out of texts what nobody may see: given values, and in URLs what may
// be a login or a key. It knows nothing of which values are secret.
package mask

import (
	"regexp"
	"slices"
	"strings"
)

// Hidden stands in the place of a secret.
const Hidden = "***"

// URLs are shown, wherever one stands in a text, as [URL] shows them.
func URLs(text string) string { return urls.ReplaceAllStringFunc(text, URL) }

// Text puts a label in the place of each value that a text holds; values are the
// keys. Where values overlap, one of them being the beginning or the end of another,
// all that any of them covers is hidden, under the label of the one that begins first.
func Text(text string, labels map[string]string) string {
	type span struct {
		from, to int
		label    string
	}
	var covered []span
	for value, label := range labels {
		for from := 0; value != ""; {
			i := strings.Index(text[from:], value)
			if i < 0 {
				break
			}
			covered = append(covered, span{from + i, from + i + len(value), label})
			from += i + 1
		}
	}
	slices.SortFunc(covered, func(a, b span) int {
		if a.from != b.from {
			return a.from - b.from
		}
		if a.to != b.to {
			return b.to - a.to
		}
		return strings.Compare(a.label, b.label)
	})
	var masked strings.Builder
	done := 0
	for _, s := range covered {
		if s.from >= done {
			masked.WriteString(text[done:s.from] + s.label)
		}
		done = max(done, s.to)
	}
	return masked.String() + text[done:]
}

// urls finds what looks like a URL, well formed or not.
var urls = regexp.MustCompile("[A-Za-z][A-Za-z0-9+.-]*://[^\\s\"'`<>\\\\]+")

// URL is a URL, or an address, as it may be shown: without user, password, query
// and fragment. It need not be well formed.
func URL(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if scheme += "://"; !found {
		scheme, rest = "", text
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = Hidden + rest[i:]
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i+1] + Hidden
	}
	return scheme + rest
}
