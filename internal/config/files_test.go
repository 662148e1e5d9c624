package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestEnvironmentFile(t *testing.T) {
	got, err := environmentIn(`
# a comment; A=no
; another
A=plain text  
 B = "quoted \"x\" \\ \$5 \n"
C='single \ "quoted"'
D="-----BEGIN X-----
line =2
-----END X-----
"
E=
F=x=y # no comment`)
	want := map[string]string{"A": "plain text", "B": `quoted "x" \ $5 \n`, "C": `single \ "quoted"`,
		"D": "-----BEGIN X-----\nline =2\n-----END X-----\n", "E": "", "F": "x=y # no comment"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	for text, says := range map[string]string{
		"A=1\ns3cret":                  "line 2 is not NAME=value",
		"A=\"1\n\n\"\nexport B=s3cret": "line 4 is not NAME=value",
		"\nA=\"s3cret\nB=2":            "the quotes that line 2 opens are not closed",
		"A='x' s3cret":                 "something follows the quotes that line 1 opens",
		"1A=s3cret":                    "line 1 is not NAME=value",
	} {
		if _, err := environmentIn(text); err == nil || !strings.Contains(err.Error(), says) ||
			strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: got %v, want %q", text, err, says)
		}
	}
}

// writer writes files to a folder of the test's own, and answers their paths.
func writer(t *testing.T) func(name, text string) string {
	t.Helper()
	dir := t.TempDir()
	return func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// Passwords that come from a file, or from the environment file, are read again for new
// connections; what cannot be read, or does not hold together, leaves the former ones.
func TestRenewal(t *testing.T) {
	write := writer(t)
	env, pass := write("environment", "OLD_PASSWORD=first\nHOST=old\n"), write("password", "first-new\n")
	text := fmt.Sprintf(`
clusters:
  old: {bootstrap.servers: "${HOST}:9092", security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN,
        sasl.username: "${WHO}", sasl.password: "${OLD_PASSWORD}"}
  new: {bootstrap.servers: "new:9092", security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN,
        sasl.username: u, sasl.password: "${file:%s}"}
  third: {bootstrap.servers: "third:9092"}
flows: [{from: old, to: new}]
env_file: %s
`, pass, env)
	c, err := Parse("site.yaml", []byte(text), variables("WHO", "mirror", "OLD_PASSWORD", "of the process"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Clusters["third"].Renew != nil {
		t.Error("a cluster without any file can be renewed")
	}
	is := func(why, cluster, want string) {
		t.Helper()
		if got := c.Clusters[cluster].Renew()["sasl.password"]; got != want {
			t.Errorf("%s: the password of %s is %q, want %q", why, cluster, got, want)
		}
	}
	if got := c.Clusters["old"].Properties; got["sasl.password"] != "first" || got["bootstrap.servers"] != "old:9092" ||
		got["sasl.username"] != "mirror" {
		t.Errorf("got %v, want the environment file's values before those of the process", got)
	}
	is("at the start", "new", "first-new")
	write("password", "second-new")
	is("renewed", "new", "second-new")
	is("renewed on the other side", "old", "first")
	write("environment", "OLD_PASSWORD='second'\nHOST=old\n")
	is("renewed", "old", "second")
	write("environment", "OLD_PASSWORD='half wri")
	is("half written", "old", "second")
	write("password", "")
	is("emptied", "new", "second-new")
	if err := os.Remove(pass); err != nil {
		t.Fatal(err)
	}
	is("gone", "new", "second-new")

	_, err = Parse("site.yaml", []byte(text), variables("WHO", "mirror"))
	for _, part := range []string{
		"env_file: " + env + ": the quotes that line 1 opens", "the file " + pass + " cannot be read",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("at the start: got %v, want it to say %q", err, part)
		}
	}
}

// A file's text is no more shown than the environment's.
func TestFilesAreNotShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "word")
	if err := os.WriteFile(path, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Parse("site.yaml", fmt.Appendf(nil, `
clusters:
  old: {bootstrap.servers: 'old:9092', socket.timeout.ms: '${file:%[1]s}'}
  new: {bootstrap.servers: '${file:}'}
flows: [{from: old, to: new, shards: '${file:%[1]s}'}]`, path), variables())
	if err == nil || strings.Contains(err.Error(), "s3cret") ||
		!strings.Contains(err.Error(), "write ${NAME} or ${file:PATH}") ||
		!strings.Contains(err.Error(), `"${file:`+path+`}" is not a whole number`) {
		t.Errorf("got %v", err)
	}
}
