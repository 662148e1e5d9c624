package main

import (
	"archive/tar"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	_ "github.com/goreleaser/nfpm/v2/rpm"
	"golang.org/x/mod/semver"
)

func (r release) deb(arch string) (string, error) { return r.pack(arch, "deb") }

func (r release) rpm(arch string) (string, error) { return r.pack(arch, "rpm") }

// pack writes what nfpm.yaml says in one of nfpm's formats.
func (r release) pack(arch, format string) (string, error) {
	glibc, err := glibcOf(r.binary(arch))
	if err != nil {
		return "", err
	}
	names := map[string]string{"ARCH": arch, "VERSION": r.version, "GLIBC": glibc, "STAGE": r.stage}
	valueOf := func(name string) string { return names[name] }
	config, err := nfpm.ParseFileWithEnvMapping("deploy/packaging/nfpm.yaml", valueOf)
	if err != nil {
		return "", err
	}
	info, err := config.Get(format)
	if err != nil {
		return "", err
	}
	info.MTime = r.at
	info = nfpm.WithDefaults(info)
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	info.RPM.BuildHost = "localhost"
	return r.create(packager.ConventionalFileName(info), func(w io.Writer) error { return packager.Package(info, w) })
}

// glibcOf is the oldest glibc that has all that a program asks of it.
func glibcOf(program string) (string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return "", err
	}
	defer file.Close()
	symbols, err := file.ImportedSymbols()
	if err != nil {
		return "", err
	}
	newest := ""
	for _, s := range symbols {
		if v, ok := strings.CutPrefix(s.Version, "GLIBC_"); ok && semver.Compare("v"+v, "v"+newest) > 0 {
			newest = v
		}
	}
	if newest == "" {
		return "", fmt.Errorf("%s asks nothing of glibc; was it built with cgo?", program)
	}
	return newest, nil
}

// tarball writes the program, and what belongs to it, in one folder.
func (r release) tarball(arch string) (string, error) {
	folder := fmt.Sprintf("replicator_%s_linux_%s", r.version, arch)
	return r.create(folder+".tar.gz", func(w io.Writer) error {
		packed, _ := gzip.NewWriterLevel(w, gzip.BestCompression)
		out := tar.NewWriter(packed)
		add := func(name, source string) error { return r.add(out, path.Join(folder, name), source) }
		for _, each := range []struct{ pattern, below string }{
			{r.binary(arch), ""}, {"LICENSE", ""}, {r.stage + "/NOTICES", ""}, {"CHANGELOG.md", ""},
			{"deploy/replicator.service", ""}, {"deploy/alerts.yaml", ""}, {"deploy/rules.yaml", ""},
			{"deploy/grafana/*.json", "grafana"}, {"configs/*", "examples"},
			{r.stage + "/completions/*", "completions"}, {r.stage + "/man/*", "man"},
		} {
			sources, err := filepath.Glob(each.pattern)
			if err == nil && len(sources) == 0 {
				err = fmt.Errorf("there is no %s", each.pattern)
			}
			if err != nil {
				return err
			}
			for _, source := range sources {
				if err := add(path.Join(each.below, filepath.Base(source)), source); err != nil {
					return err
				}
			}
		}
		if err := out.Close(); err != nil {
			return err
		}
		return packed.Close()
	})
}

// add puts a file into a tarball.
func (r release) add(out *tar.Writer, name, source string) error {
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return r.write(out, name, mode, text)
}

// write puts a text into a tarball: root's, and of the release's time.
func (r release) write(out *tar.Writer, name string, mode int64, text []byte) error {
	header := tar.Header{Name: name, Mode: mode, Size: int64(len(text)), ModTime: r.at, Uname: "root", Gname: "root"}
	if err := out.WriteHeader(&header); err != nil {
		return err
	}
	_, err := out.Write(text)
	return err
}

// chart writes the Helm chart of the version, with what its links lead to.
func (r release) chart() (string, error) {
	const dir = "deploy/helm/replicator"
	return r.create(fmt.Sprintf("replicator-chart-%s.tgz", r.version), func(w io.Writer) error {
		packed, _ := gzip.NewWriterLevel(w, gzip.BestCompression)
		out := tar.NewWriter(packed)
		for _, pattern := range []string{"Chart.yaml", "values*", "templates/*", "files/*/*"} {
			sources, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return err
			}
			for _, source := range sources {
				text, err := os.ReadFile(source)
				if err != nil {
					return err
				}
				name := strings.TrimPrefix(source, filepath.Dir(dir)+"/")
				if pattern == "Chart.yaml" {
					text = chartVersion.ReplaceAll(text, []byte("${1}ersion: "+r.version))
				}
				if err := r.write(out, name, 0o644, text); err != nil {
					return err
				}
			}
		}
		if err := out.Close(); err != nil {
			return err
		}
		return packed.Close()
	})
}

// chartVersion is the chart's version, and that of the program.
var chartVersion = regexp.MustCompile(`(?m)^(v|appV)ersion: .*$`)
