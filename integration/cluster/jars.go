package cluster

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed pom.xml
var pom string

// Jars is the folder with the jars of a Kafka version, MirrorMaker 2 among
// them, downloaded once per machine. Run them with `java -cp 'folder/*'`.
func Jars(t testing.TB, version string) string {
	t.Helper()
	folder, err := jars(version)
	if err != nil {
		unavailable(t, fmt.Errorf("jars of Kafka %s: %w", version, err))
	}
	return folder
}

// jars finds or downloads the jars. Processes that want the same version wait
// for each other; the folder gets its name only when it is complete.
func jars(version string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil { // no HOME, as in some build machines
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "replicator")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "kafka-"+version)
	if current(folder) {
		return filepath.Join(folder, "libs"), nil
	}
	lock, err := waitLock(folder + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if current(folder) {
		return filepath.Join(folder, "libs"), nil
	}
	fresh := folder + ".part"
	if err := errors.Join(os.RemoveAll(fresh), os.MkdirAll(fresh, 0o755)); err != nil {
		return "", err
	}
	if err := download(fresh, version); err != nil {
		return "", err
	}
	if err := errors.Join(os.RemoveAll(folder), os.Rename(fresh, folder)); err != nil {
		return "", err
	}
	return filepath.Join(folder, "libs"), nil
}

// current tells whether folder holds what this package's pom.xml asks for.
func current(folder string) bool {
	had, err := os.ReadFile(filepath.Join(folder, "pom.xml"))
	return err == nil && string(had) == pom
}

func download(folder, version string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("no Maven to fetch the broker with: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "pom.xml"), []byte(pom), 0o644); err != nil {
		return err
	}
	args := []string{
		"-q", "-B", "-f", filepath.Join(folder, "pom.xml"), "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory=" + filepath.Join(folder, "libs"), "-Dkafka.version=" + version,
	}
	if logsByLog4j1(version) { // which is reload4j today
		args = append(args, "-Dbinding.group=org.slf4j", "-Dbinding.artifact=slf4j-reload4j", "-Dbinding.version=1.7.36")
	}
	if version != DefaultVersion { // MirrorMaker 2 is run in the default version alone
		args = append(args, "-Dbroker.alone=true")
	}
	cmd := exec.Command(mvn, args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn dependency:copy-dependencies: %w\n%s", err, tail(string(out), 20))
	}
	return nil
}
