// Release makes what is handed out of what deploy/release.sh has built: for each architecture a tarball, a deb, an rpm
// and an SBOM, the Helm chart, and the sums of all. It reads no clock and no file times: SOURCE_DATE_EPOCH is the time of
// everything, so that the same files make the same bytes.
//
//	go run ./release -root TOP -version 1.2.3
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	root := flag.String("root", "../..", "the top of the repository")
	version := flag.String("version", "", "the version, such as 1.2.3")
	flag.Parse()
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		err = fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	} else if err = os.Chdir(*root); err == nil {
		r := release{version: *version, at: time.Unix(seconds, 0).UTC(), stage: "dist/release/stage", out: "dist/release"}
		err = r.make("amd64", "arm64")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// release is one version, made at the top of the repository.
type release struct {
	version string
	at      time.Time
	stage   string // holds ARCH/replicator, man, completions, NOTICES
	out     string
}

// make writes the chart, the files of all architectures, and the sums of all.
func (r release) make(archs ...string) error {
	chart, err := r.chart()
	if err != nil {
		return err
	}
	made := []string{chart}
	for _, arch := range archs {
		for _, write := range []func(arch string) (string, error){r.deb, r.rpm, r.tarball, r.sbom} {
			name, err := write(arch)
			if err != nil {
				return fmt.Errorf("%s: %w", arch, err)
			}
			made = append(made, name)
		}
	}
	var sums strings.Builder
	for _, name := range made {
		sum, err := sumOf(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum, name)
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// binary is the program of an architecture.
func (r release) binary(arch string) string { return filepath.Join(r.stage, arch, "replicator") }

// create writes a file of the release.
func (r release) create(name string, write func(io.Writer) error) (string, error) {
	file, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return "", err
	}
	err = write(file)
	if closing := file.Close(); err == nil {
		err = closing
	}
	return name, err
}

func sumOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return sum.Sum(nil), err
}
