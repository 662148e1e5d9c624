package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// stand lays out a stage with a small program in the place of ours, and files of the time given.
func stand(t *testing.T, program string, modified time.Time) string {
	t.Helper()
	stage := t.TempDir()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"amd64/replicator": string(text), "man/replicator.1.gz": "a page", "man/replicator-config.5.gz": "a page",
		"completions/bash": "b", "completions/zsh": "z", "completions/fish": "f", "NOTICES": "of others",
	} {
		path := filepath.Join(stage, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	return stage
}

// build compiles a program that asks something of glibc, as ours does.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./testdata/program")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// The same program makes the same bytes, whatever the time and the times of the files are.
func TestReleaseIsReproducible(t *testing.T) {
	program := build(t)
	t.Chdir("../../..")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var made [2]map[string][]byte
	for i := range made {
		r := release{version: "1.2.3", at: at, stage: stand(t, program, at.AddDate(0, 0, i)), out: t.TempDir()}
		if err := r.make("amd64"); err != nil {
			t.Fatal(err)
		}
		made[i] = map[string][]byte{}
		files, err := os.ReadDir(r.out)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if made[i][f.Name()], err = os.ReadFile(filepath.Join(r.out, f.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"replicator_1.2.3-1_amd64.deb", "replicator-1.2.3-1.x86_64.rpm",
		"replicator_1.2.3_linux_amd64.tar.gz", "replicator_1.2.3_linux_amd64.cdx.json",
		"replicator-chart-1.2.3.tgz", "SHA256SUMS"} {
		if text := made[0][name]; text == nil {
			t.Errorf("there is no %s", name)
		} else if !bytes.Equal(text, made[1][name]) {
			t.Errorf("%s differs from one time to the next", name)
		}
		if name != "SHA256SUMS" && !strings.Contains(string(made[0]["SHA256SUMS"]), "  "+name+"\n") {
			t.Errorf("there is no sum of %s", name)
		}
	}
	if len(made[0]) != 6 {
		t.Errorf("%d files were made", len(made[0]))
	}
	helm, err := loader.LoadArchive(bytes.NewReader(made[0]["replicator-chart-1.2.3.tgz"]))
	if err != nil {
		t.Fatal(err)
	}
	if helm.Metadata.Version != "1.2.3" || helm.AppVersion() != "1.2.3" || len(helm.Templates) < 10 {
		t.Errorf("the chart is of %s for %s, with %d templates", helm.Metadata.Version, helm.AppVersion(),
			len(helm.Templates))
	}
	if !slices.ContainsFunc(helm.Files, func(f *chart.File) bool { return f.Name == "files/rules/alerts.yaml" }) {
		t.Error("the chart has no alerts")
	}
}

// The SBOM tells the C libraries inside librdkafka, which Go knows nothing of.
func TestBundledLibrariesAreListed(t *testing.T) {
	t.Chdir("../../..")
	list, err := bundledIn("2.11.1")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
		if c.Name != "librdkafka" && c.CPE == "" {
			t.Errorf("%s %s has no name in the lists of weaknesses", c.Name, c.Version)
		}
	}
	if got, want := strings.Join(names, " "), "librdkafka openssl curl zlib zstandard"; got != want {
		t.Errorf("librdkafka holds %s; want %s, as deploy/notices/bundled.txt", got, want)
	}
}
