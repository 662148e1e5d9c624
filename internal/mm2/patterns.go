package mm2

import (
	"fmt"
	"regexp"
	"strings"
)

// list splits a value as MirrorMaker does: at commas, with blanks around them.
func list(value string) []string {
	items := []string{}
	if value = strings.TrimSpace(value); value == "" {
		return items
	}
	for _, item := range strings.Split(value, ",") {
		items = append(items, strings.TrimSpace(item))
	}
	return items
}

// patterns turns a list of Java patterns into RE2 patterns that match the same
// names, or says why that cannot be. MirrorMaker joins a list with | into one
// pattern; it is written as one where its members mean something else alone.
func patterns(value string) (written []string, why string) {
	items := list(value)
	if len(items) == 0 {
		return items, ""
	}
	alone := true
	for _, item := range items {
		if why := foreign(item); why != "" {
			return nil, why
		}
		_, err := regexp.Compile(item)
		alone = alone && err == nil && !flagSwitch.MatchString(item)
	}
	if alone {
		return items, ""
	}
	joined := strings.Join(items, "|")
	if _, err := regexp.Compile(joined); err != nil {
		return nil, fmt.Sprintf("%q is no RE2 pattern: %v", joined, err)
	}
	return []string{joined}, ""
}

var (
	flagSwitch = regexp.MustCompile(`\(\?[a-zA-Z-]+\)`)
	lookaround = regexp.MustCompile(`\(\?(=|!|<=|<!)`)
	reference  = regexp.MustCompile(`\\([1-9]|k<)`)
	escaped    = regexp.MustCompile(`\\[^0-9A-Za-z]`)
	counted    = regexp.MustCompile(`^\{[0-9]+\}`)
)

// foreign says what a Java pattern holds that RE2 lacks or reads otherwise; what
// both refuse, or RE2 refuses by itself, is left to the compiler.
func foreign(pattern string) string {
	bare := unquote(pattern)
	switch {
	case lookaround.MatchString(bare):
		return fmt.Sprintf("%q looks around (?=, ?!, ?<=, ?<!), which RE2 patterns cannot: name what is wanted, "+
			"and put what is not into the list of exclusions", pattern)
	case reference.MatchString(bare):
		return fmt.Sprintf("%q refers back to a group, which RE2 patterns cannot: write the alternatives out", pattern)
	}
	class := 0 // where the class under way began, from 1
	for i := 0; i < len(bare); i++ {
		switch {
		case bare[i] == '\\':
			i++
			if i+1 < len(bare) && strings.IndexByte("pPx", bare[i]) >= 0 && bare[i+1] == '{' {
				i++
			}
		case class == 0 && bare[i] == '[':
			if class = i + 1; strings.HasPrefix(bare[i:], "[^") {
				i++
			}
		case class > 0 && bare[i] == ']':
			class = 0
		case class > 0 && (bare[i] == '[' || strings.HasPrefix(bare[i:], "&&")):
			return fmt.Sprintf("%q has a class within a class, which Java and RE2 read differently: write one class", pattern)
		case class == 0 && bare[i] == '{' && !counted.MatchString(bare[i:]):
			return fmt.Sprintf("%q is cut off at the {: a comma ends a pattern of a list, also within {n,m}; "+
				"write the repetition out", pattern)
		}
	}
	return ""
}

// unquote replaces \Q...\E, whose content means itself, by letters, and escaped
// characters by their escapes alone.
func unquote(pattern string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(pattern, `\Q`)
		b.WriteString(strings.ReplaceAll(before, `\\`, "x"))
		if !found {
			break
		}
		var quoted string
		quoted, pattern, _ = strings.Cut(rest, `\E`)
		b.WriteString(strings.Repeat("x", len(quoted)))
	}
	return escaped.ReplaceAllString(b.String(), "x")
}
