package bench

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tools are the programs that are run.
type tools struct {
	plain, raw, replicator, java string
	libs                         string // folder with MirrorMaker 2's jars
}

// findTools says where the programs are, or will be once built into the site's folder.
func findTools(site Site) *tools {
	in := func(name string) string { return filepath.Join(site.Dir, name) }
	t := &tools{plain: in("plain"), raw: in("raw"), replicator: in("replicator"), java: "java", libs: site.Libs}
	if root := os.Getenv("JAVA_HOME"); root != "" {
		t.java = filepath.Join(root, "bin", "java")
	}
	return t
}

// build builds what is compared, as `go build` does.
func build(ctx context.Context, site Site) (*tools, error) {
	const here = "replicator/integration/bench/"
	for _, pkg := range []string{here + "plain", here + "raw", "replicator/cmd/replicator"} {
		if _, err := Build(ctx, site.Dir, pkg); err != nil {
			return nil, err
		}
	}
	return findTools(site), nil
}

// Build builds a command of this module into dir and gives its path.
func Build(ctx context.Context, dir, pkg string) (string, error) {
	path := filepath.Join(dir, filepath.Base(pkg))
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

// libraries tells from a program's own build information which it talks to Kafka with.
func libraries(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "libraries unknown"
	}
	var found []string
	for _, dep := range info.Deps {
		switch {
		case strings.HasPrefix(dep.Path, "github.com/confluentinc/confluent-kafka-go"):
			found = append(found, "confluent-kafka-go "+dep.Version)
		case dep.Path == "github.com/twmb/franz-go":
			found = append(found, "franz-go "+dep.Version)
		}
	}
	return strings.Join(found, ", ")
}

// commit names the checkout that the programs were built from.
func commit() string {
	head, err1 := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	status := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ":/*.go", ":/go.mod")
	changed, err2 := status.Output()
	if err1 != nil || err2 != nil {
		return "unknown"
	}
	name := string(bytes.TrimSpace(head))
	if len(bytes.TrimSpace(changed)) > 0 {
		name += " with changes"
	}
	return name
}

// javaVersion is the first line of `java -version`.
func javaVersion(program string) string {
	out, err := exec.Command(program, "-version").CombinedOutput()
	if err != nil {
		return "none"
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(bytes.TrimSpace(line))
}
