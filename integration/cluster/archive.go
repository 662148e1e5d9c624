package cluster

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A broker spends most of its start on loading classes. An archive of them
// (class data sharing) halves time and CPU of a start. It is made once for each
// Kafka version and Java, by a broker that does nothing but start and stop.

// archive is the file beside the jars that fits the Java at hand.
func archive(libs string) string {
	java := sha256.Sum256([]byte(findJava().is))
	return filepath.Join(filepath.Dir(libs), fmt.Sprintf("classes-%x.jsa", java[:6]))
}

// archiveFlags are the java flags that use the archive; none without one. Java
// ignores an archive that does not fit, and says so only in its log.
func archiveFlags(libs string) []string {
	file := archive(libs)
	if _, err := os.Stat(file); err != nil {
		return nil
	}
	return []string{"-XX:SharedArchiveFile=" + file, "-Xshare:auto"}
}

// makeArchive makes the archive unless it is there. Processes that want the
// same one wait for each other.
func makeArchive(version, libs string) error {
	file := archive(libs)
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	lock, err := waitLock(file + ".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	part := file + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	s := newSpec([]Option{Named("classes"), Version(version)})
	s.java = []string{"-XX:ArchiveClassesAtExit=" + part}
	n, err := openOnce(jvm{}, s)
	if err != nil {
		return err
	}
	if err := errors.Join(n.each((*broker).stop), n.close()); err != nil {
		return err
	}
	return os.Rename(part, file)
}
