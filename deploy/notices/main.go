// Notices prints the licences of all that is linked into the program: of the Go
// modules, and of librdkafka with what is bundled into it (bundled.txt, whose versions
// are those of confluent-kafka-go's static library). The image ships them.
//
//	go run ./deploy/notices > NOTICES
package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is a Go module that the program is built from.
type module struct{ path, version, dir string }

func main() {
	if err := write(os.Stdout, "./cmd/replicator"); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// write prints the notices of a program to w. A module without a licence is an error.
func write(w io.Writer, program string) error {
	modules, err := linked(program)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "The replicator program is distributed under the Apache License 2.0 (LICENSE). It contains the\n"+
		"following works of others, each under the licence that stands below it.\n")
	for _, m := range modules {
		files, err := licences(m.dir)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("module %s %s has no licence file", m.path, m.version)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(m.dir, file)
			fmt.Fprintf(out, "\n%s\n%s %s: %s\n%[1]s\n\n%[5]s", strings.Repeat("=", 100), m.path, m.version, name, text)
		}
	}
	fmt.Fprintf(out, "\n%s\nlinked into librdkafka\n%[1]s\n\n%[2]s", strings.Repeat("=", 100), bundled)
	return out.Flush()
}

//go:embed bundled.txt
var bundled string

// linked lists the modules of a program's packages, but its own.
func linked(program string) ([]module, error) {
	list := exec.Command("go", "list", "-deps", "-f",
		"{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", program)
	list.Stderr = os.Stderr
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var modules []module
	for _, line := range strings.Split(string(text), "\n") {
		if word := strings.Fields(line); len(word) == 3 {
			modules = append(modules, module{word[0], word[1], word[2]})
		}
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return slices.Compact(modules), nil
}

var licence = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|notice)([-._].*)?$`)

// licences are the files of a module that hold its terms, at its top and where code of
// others is bundled.
func licences(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && licence.MatchString(entry.Name()) {
			files = append(files, path)
		}
		return err
	})
	return files, err
}
