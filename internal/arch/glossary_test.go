package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// plain are the words that need no entry in the glossary: Kafka's own, units, and English that
// means nothing of ours.
const plain = `
	batch broker byte cluster codec config connection format group offset partition record replication time
	timestamp topic
	bytes factor info interval kind level ratio seconds total
	age anew append build env error exclude file first from go http inside log new nothing old on other reason
	refresh retries right side small state to why`

var (
	headword   = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	yamlKey    = regexp.MustCompile(`(?m)^[ #-]*([a-z_]+):(?: |$)`)
	metricRow  = regexp.MustCompile("(?m)^\\| `replicator_([a-z_]+)` \\| [a-z]+ \\| ([a-z_, ]*) \\|")
	metricList = regexp.MustCompile("(?ms)^- `[a-z]+` of `replicator_[a-z_]+`: (.*?)\\.$")
	ofState    = regexp.MustCompile(`(?m)^\s+\w+\s+(?:Phase|Verdict|Kind)\s+= "([a-z_]+)"`)
	ofStop     = regexp.MustCompile(`(?m)^\s+Stop\w+\s+= "([a-z_]+)"`)
	bracketed  = regexp.MustCompile(`\([^)]*\)`)
	oneName    = regexp.MustCompile(`^[a-z_]+$`)
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names collects what an operator meets as a name: keys of the configuration, metrics with labels
// and their values, states, and kinds of stops. Each with where it stands.
func names(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, key := range yamlKey.FindAllStringSubmatch(read(t, "../config/reference.yaml"), -1) {
		found[key[1]] = "a key of the configuration"
	}
	page := read(t, "../../docs/metrics.md")
	for _, row := range metricRow.FindAllStringSubmatch(page, -1) {
		found[row[1]] = "a metric"
		for _, label := range strings.Fields(strings.ReplaceAll(row[2], ",", " ")) {
			found[label] = "a label of a metric"
		}
	}
	for _, list := range metricList.FindAllStringSubmatch(page, -1) {
		for _, value := range strings.Split(bracketed.ReplaceAllString(list[1], ""), ",") {
			if value = strings.TrimSpace(value); oneName.MatchString(value) {
				found[value] = "a label's value"
			}
		}
	}
	err := filepath.WalkDir("../../pkg", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text := read(t, path)
		for _, state := range ofState.FindAllStringSubmatch(text, -1) {
			found[state[1]] = "a state"
		}
		for _, stop := range ofStop.FindAllStringSubmatch(text, -1) {
			found[stop[1]] = "a kind of stop"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Whatever an operator meets as a name is made of words that the glossary has, each once.
func TestNamesAreOfTheGlossary(t *testing.T) {
	known, whole := map[string]bool{}, map[string]bool{}
	for _, word := range strings.Fields(plain) {
		known[word] = true
	}
	for _, head := range headword.FindAllStringSubmatch(read(t, "../../docs/glossary.md"), -1) {
		if whole[head[1]] {
			t.Errorf("docs/glossary.md has %s twice", head[1])
		}
		whole[head[1]] = true
		for _, word := range strings.Fields(strings.ToLower(head[1])) {
			known[word] = true
		}
	}
	found, counts := names(t), map[string]int{}
	for name, kind := range found {
		counts[kind]++
		for _, word := range strings.Split(name, "_") {
			one := strings.TrimSuffix(word, "s")
			if !known[word] && !known[one] && !known[strings.TrimSuffix(one, "e")] {
				t.Errorf("%s is %s: docs/glossary.md does not know %q; use a word that it has, or explain it there",
					name, kind, word)
			}
		}
	}
	for kind, least := range map[string]int{"a key of the configuration": 20, "a metric": 30, "a label of a metric": 8,
		"a label's value": 15, "a state": 20, "a kind of stop": 12} {
		if counts[kind] < least {
			t.Errorf("only %d names were found that are %s", counts[kind], kind)
		}
	}
}
