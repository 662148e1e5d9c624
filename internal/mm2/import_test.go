package mm2

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"replicator/internal/config"
)

var update = flag.Bool("update", false, "write the expected files anew")

// optionsOf reads "# import --flow A->B --ignore-unknown" from a file's first line.
func optionsOf(data []byte) Options {
	var options Options
	line, _, _ := strings.Cut(string(data), "\n")
	args := strings.Fields(strings.TrimPrefix(line, "# import"))
	for i, arg := range args {
		switch {
		case !strings.HasPrefix(line, "# import"):
		case arg == "--flow":
			options.Flows = append(options.Flows, args[i+1])
		case arg == "--ignore-unknown":
			options.IgnoreUnknown = true
		}
	}
	return options
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what was written (-update shows the difference):\n%s", path, got)
	}
}

// environment has every variable that an import asked for; those that name a file
// name the certificate of the test.
func environment(r *Result) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, v := range r.Variables {
			switch {
			case v.Name != name:
			case strings.Contains(v.What, "ssl.key.pem"):
				key, _ := os.ReadFile("testdata/client-key.pem")
				return string(key), true
			case strings.Contains(v.What, "location"):
				return "testdata/client.pem", true
			case strings.Contains(v.What, "bootstrap"):
				return "env:9092", true
			case strings.Contains(v.What, "oauthbearer.config"):
				return "principal=mirror", true
			case strings.Contains(v.What, "endpoint"):
				return "https://tokens.example.com/token", true
			default:
				return "from-environment", true
			}
		}
		return "", false
	}
}

// Every file imports to what stands beside it, and the configuration loads.
func TestImport(t *testing.T) {
	files, err := filepath.Glob("testdata/*.properties")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, stem := filepath.Base(file), strings.TrimSuffix(file, ".properties")
		r, err := Import(name, data, optionsOf(data))
		if strings.HasSuffix(stem, ".bad") {
			if err == nil {
				t.Errorf("%s is accepted:\n%s", file, r.Config)
				continue
			}
			golden(t, stem+".txt", err.Error()+"\nremedy: "+err.(*Problems).Remedy()+"\n")
			noSecret(t, file, err.Error())
			continue
		}
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		golden(t, stem+".yaml", r.Config)
		golden(t, stem+".report.txt", r.Report(name, filepath.Base(stem)+".yaml"))
		holes := strings.Count(r.Config, "TO FILL IN")
		if _, err := config.Parse(stem+".yaml", []byte(r.Config), environment(r)); holes == 0 && err != nil {
			t.Errorf("what was written does not load: %v", err)
		} else if holes > 0 && (err == nil || strings.Count(err.Error(), "sasl.mechanism: is empty") != holes) {
			t.Errorf("%s has %d holes, and loading says: %v", file, holes, err)
		}
		filled := strings.ReplaceAll(r.Config, `sasl.mechanism: ""`,
			`sasl.username: u, sasl.password: "${P}", sasl.mechanism: PLAIN`)
		filled = strings.ReplaceAll(filled, ", sasl.", "\n    sasl.")
		given := func(string) (string, bool) { return "x", true }
		if _, err := config.Parse(stem+".yaml", []byte(filled), given); holes > 0 && err != nil {
			t.Errorf("%s with its holes filled does not load: %v", file, err)
		}
		noSecret(t, file, r.Config+r.Report(name, "x.yaml"))
		everyLine(t, file, data, r)
	}
}

// noSecret: the files of the test have secrets that all hold one word.
func noSecret(t *testing.T, file, text string) {
	t.Helper()
	if strings.Contains(text, "s3cret") {
		t.Errorf("%s: a secret is shown:\n%s", file, text)
	}
}

// everyLine: each key has one finding with a class and a text, in the file's order.
func everyLine(t *testing.T, file string, data []byte, r *Result) {
	t.Helper()
	entries := parse(data, func(int, string, ...any) { t.Fatal("not parsed") })
	if len(entries) != len(r.Findings) {
		t.Fatalf("%s: %d findings on %d keys", file, len(r.Findings), len(entries))
	}
	for i, f := range r.Findings {
		if f.Line != entries[i].line || f.Key != printable(entries[i].key) || f.Class == "" || f.Text == "" {
			t.Errorf("%s: finding %+v on %+v", file, f, entries[i])
		}
	}
}
