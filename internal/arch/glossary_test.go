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
	batch broker byte cluster codec config connection format group member offset partition record replication
	time timestamp topic
	bytes factor info interval kind level ratio seconds total
	again age anew append at back behind both build by env error exclude file first for from go http inside kept
	log new nothing old on other problem read refresh retries rolled side since small state to
	warning why without would`

var (
	headword   = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	yamlKey    = regexp.MustCompile(`(?m)^[ #-]*([a-z_]+):(?: |$)`)
	metricRow  = regexp.MustCompile("(?m)^\\| `replicator_([a-z_]+)` \\| [a-z]+ \\| ([a-z_, ]*) \\|")
	metricList = regexp.MustCompile("(?ms)^- `[a-z]+` of `replicator_[a-z_]+`: (.*?)\\.$")
	ofState    = regexp.MustCompile(`(?m)^\s+\w+\s+(?:Phase|Verdict|Kind)\s+= "([a-z_]+)"`)
	jsonField  = regexp.MustCompile(`json:"([a-z_]+)`)
	ofStop     = regexp.MustCompile(`(?m)^\s+Stop\w+\s+= "([a-z_]+)"`)
	bracketed  = regexp.MustCompile(`\([^)]*\)`)
	oneName    = regexp.MustCompile(`([a-z_]+)`)
	oneOfList  = regexp.MustCompile(`([a-z_]+)\s*(?:,|$)`)
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names says which names an operator meets, and what each of them is: keys of the configuration, metrics
// with labels and their values, fields of status --json, states, and kinds of stops.
func names(t *testing.T, say func(what, name string)) {
	t.Helper()
	all := func(what string, pattern *regexp.Regexp, text string) {
		for _, found := range pattern.FindAllStringSubmatch(text, -1) {
			say(what, found[1])
		}
	}
	all("a key of the configuration", yamlKey, read(t, "../config/reference.yaml"))
	page := read(t, "../../docs/metrics.md")
	for _, row := range metricRow.FindAllStringSubmatch(page, -1) {
		say("a metric", row[1])
		all("a label of a metric", oneName, row[2])
	}
	for _, list := range metricList.FindAllStringSubmatch(page, -1) {
		all("a label's value", oneOfList, bracketed.ReplaceAllString(list[1], ""))
	}
	err := filepath.WalkDir("../../pkg", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text := read(t, path)
		if strings.Contains(text, "\ntype FlowStatus struct {\n") {
			all("a field of status --json", jsonField, text)
		}
		all("a state", ofState, text)
		all("a kind of stop", ofStop, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
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
	count := map[string]int{}
	names(t, func(what, name string) {
		count[what]++
		for _, word := range strings.Split(name, "_") {
			one := strings.TrimSuffix(word, "s")
			if !known[word] && !known[one] && !known[strings.TrimSuffix(one, "e")] {
				t.Errorf("%s is %s: docs/glossary.md does not know %q; use a word that it has, or explain it there",
					name, what, word)
			}
		}
	})
	for what, least := range map[string]int{"a key of the configuration": 20, "a metric": 30, "a label of a metric": 40,
		"a label's value": 40, "a field of status --json": 60, "a state": 20, "a kind of stop": 12} {
		if count[what] < least {
			t.Errorf("only %d names were found that are %s", count[what], what)
		}
	}
}
