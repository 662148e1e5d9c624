package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine says on what the figures were taken, as lines of a Markdown list.
func Machine(site Site, brokers string) []string {
	t := findTools(site)
	return []string{
		fmt.Sprintf("%d cores (%s), %s of memory, shared by both brokers and the contestant; loopback",
			runtime.NumCPU(), processor(), memory()),
		fmt.Sprintf("%s %s; brokers' data and the programs' files on %s", runtime.GOOS, kernel(), fileSystem(site.Dir)),
		brokers,
		fmt.Sprintf("%s, %s; %s", runtime.Version(), libraries(t.replicator), javaVersion(t.java)),
		fmt.Sprintf("commit %s, %s", commit(), time.Now().UTC().Format(time.DateOnly)),
	}
}

// processor is the name of the first core.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // elsewhere the architecture has to do
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// memory is what the machine has.
func memory() string {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(value + " 0")[0], 10, 64)
			if err == nil && kb > 0 {
				return fmt.Sprintf("%.0f GB", float64(kb)/(1<<20))
			}
		}
	}
	return "an unknown amount"
}

// kernel is the kernel's version; what follows it names one machine's build.
func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "(version unknown)"
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	return version
}

// fileSystem is the type of the mount that holds path: the longest mount point
// that is a prefix of it.
func fileSystem(path string) string {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "an unknown file system"
	}
	return mountOf(string(text), path)
}

func mountOf(mounts, path string) string {
	best, kind := -1, "an unknown file system"
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		point := strings.TrimSuffix(fields[1], "/")
		if (path == point || strings.HasPrefix(path, point+"/")) && len(point) >= best {
			best, kind = len(point), fields[2]
		}
	}
	return kind
}
