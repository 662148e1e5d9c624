package mm2

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"replicator/internal/config"
)

func TestProperties(t *testing.T) {
	for _, c := range []struct{ text, want, why string }{
		{"a=b", "1 a=b", "plain"},
		{" a : b ", "1 a=b ", "blanks in front and around are none of it, those behind are"},
		{"a b = c", "1 a=b = c", "a blank ends the key"},
		{"a", "1 a=", "a key alone"},
		{"a==b", "1 a==b", "one sign only is taken"},
		{"# c\n! d\n\n \ta=b", "4 a=b", "comments and empty lines"},
		{"#a\\\nb=c", "2 b=c", "a comment does not go on"},
		{"a=b\\\n   c\nd=e", "1 a=bc|3 d=e", "a line that goes on"},
		{"a=b\\\\\nc=d", `1 a=b\|2 c=d`, "an escaped backslash at the end"},
		{"a=b\\", "1 a=b", "the file ends in the middle"},
		{"a=1\r\nb=2\rc=3", "1 a=1|2 b=2|3 c=3", "all line ends"},
		{`a\ b\:c=d`, "1 a b:c=d", "escapes in a key"},
		{`a=\u0041\t\n\q`, "1 a=A\t\nq!", "escapes in a value; the last loses its backslash"},
		{`a=\ud83d\ude00`, "1 a=\U0001F600", "a pair of surrogates"},
		{"a=\xe9", "1 a=\u00e9", "bytes are Latin-1"},
		{`a=\u12`, "bad 1", "an escape that is cut short"},
		{`a=\u00g0`, "bad 1", "an escape with no digit"},
		{`a=\u00!0`, "bad 1", "a sign that looks like a digit in lower case"},
	} {
		var got []string
		bad := func(line int, _ string, _ ...any) { got = append(got, fmt.Sprintf("bad %d", line)) }
		entries := parse([]byte(c.text), bad)
		for _, e := range entries {
			one := fmt.Sprintf("%d %s=%s", e.line, e.key, e.value)
			if e.lost {
				one += "!"
			}
			got = append(got, one)
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q is %q, want %q", c.why, c.text, strings.Join(got, "|"), c.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct{ list, want, why string }{
		{"a, b.* ,c", "a b.* c", "one by one"},
		{"", "", "nothing"},
		{"(foo,bar)-x", "(foo|bar)-x", "joined as MirrorMaker does: alone they are no patterns"},
		{"(?i)a,b", "(?i)a|b", "the switch is for those behind it as well"},
		{"(?i:a),b", "(?i:a) b", "a switch that stays inside"},
		{`\Q(?=\E`, `\Q(?=\E`, "quoted"},
		{`\[(?:a)\]`, `\[(?:a)\]`, "escaped brackets"},
		{`[^]a]`, `[^]a]`, "a bracket that is a member"},
		{`a{3}\x{41}`, `a{3}\x{41}`, "a repetition"},
		{"(?=a)b", "! looks around", ""},
		{"(?<!a)b", "! looks around", ""},
		{`(a)\1`, "! refers back", ""},
		{"[a-c[x]]", "! class within a class", ""},
		{"[a-c&&b]", "! class within a class", ""},
		{"a{1,2}", "! a comma ends a pattern", ""},
		{"a*+", "! is no RE2 pattern", "possessive"},
		{"(?>a)", "! is no RE2 pattern", "atomic"},
		{`\p{Alpha}`, "! is no RE2 pattern", "a class of Java's"},
		{"a, (", "! is no RE2 pattern", ""},
	} {
		written, why := patterns(c.list)
		want, refused := strings.CutPrefix(c.want, "! ")
		if refused && !strings.Contains(why, want) || !refused && (why != "" || strings.Join(written, " ") != want) {
			t.Errorf("%s: patterns(%q) = %q, %q; want %s", c.why, c.list, written, why, c.want)
		}
	}
}

func TestJAAS(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`a.b.C required x="1" y=2;`, "C x=1 y=2"},
		{`C required x="a \"b\" c;" ;`, `C x=a "b" c;`},
		{"C required;", "C"},
		{"C required\n  x=\"1\"\n;", "C x=1"},
		{`C required x="1"`, ""}, {`C required x="1;`, ""}, {`C required x 1;`, ""}, {"", ""},
		{"C required a=b; D required;", ""},
	} {
		login, ok := parseJAAS(c.text)
		got := login.module
		names := keysOf(login.options)
		slices.Sort(names)
		for _, name := range names {
			got += " " + name + "=" + login.options[name]
		}
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s is %q, %v, want %q", c.text, got, ok, c.want)
		}
	}
}

// FuzzImport: whatever the file, it is refused or what is written loads, but for
// what lies outside of the file: the properties of clusters.
func FuzzImport(f *testing.F) {
	files, err := filepath.Glob("testdata/*.properties")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Import("fuzz", data, Options{IgnoreUnknown: true})
		if err != nil {
			return
		}
		everyLine(t, "fuzz", data, r)
		if _, err := config.Parse("fuzz.yaml", []byte(r.Config), environment(r)); err != nil {
			for _, p := range err.(*config.Problems).List {
				if !strings.HasPrefix(p.Path, "clusters.") {
					t.Fatalf("%v\n%s", err, r.Config)
				}
			}
		}
	})
}
