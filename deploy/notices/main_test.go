package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// All that is linked has its terms in the notices, and what librdkafka bundles is of
// the versions that the static library names.
func TestNoticesAreComplete(t *testing.T) {
	const program = "replicator/cmd/replicator"
	modules, err := linked(program)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := write(&out, program); err != nil {
		t.Fatal(err)
	}
	var vendored string
	for _, m := range modules {
		if !strings.Contains(out.String(), "\n"+m.path+" "+m.version+": ") {
			t.Errorf("the notices lack %s %s", m.path, m.version)
		}
		if strings.HasSuffix(m.path, "confluent-kafka-go/v2") {
			vendored = filepath.Join(m.dir, "kafka", "librdkafka_vendor", "librdkafka_glibc_linux_amd64.a")
		}
	}
	if len(modules) < 15 {
		t.Errorf("only %d modules: %v", len(modules), modules)
	}
	library, err := os.ReadFile(vendored)
	if err != nil {
		t.Fatal(err)
	}
	for name, version := range map[string]string{
		"OpenSSL": `OpenSSL (\d+\.\d+\.\d+) \d`, "curl": `libcurl/(\d+\.\d+\.\d+)`, "zlib": ` deflate (\d+\.\d+\.\d+) `,
	} {
		found := regexp.MustCompile(version).FindSubmatch(library)
		if found == nil {
			t.Errorf("librdkafka does not hold %s any more: take it out of bundled.txt", name)
		} else if !strings.Contains(bundled, name+" "+string(found[1])+",") {
			t.Errorf("librdkafka holds %s %s; bundled.txt has another version", name, found[1])
		}
	}
}
