package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// client is the Go module that brings librdkafka, and bears its version.
const client = "github.com/confluentinc/confluent-kafka-go/v2"

// bundledWork is the first line of a work in the notices of what librdkafka holds.
var bundledWork = regexp.MustCompile(`(?m)^(\S+) (\d+\.\d+\.\d+), Copyright`)

// publisherOf names works in the way of the lists of known weaknesses.
var publisherOf = map[string]string{"openssl": "openssl", "curl": "haxx", "zlib": "zlib", "zstandard": "facebook"}

// sbom writes what the program was built from, by its own word: Go, its modules, and the C libraries that librdkafka
// holds, by deploy/notices/bundled.txt, which a test compares with the library.
func (r release) sbom(arch string) (string, error) {
	info, err := buildinfo.ReadFile(r.binary(arch))
	if err != nil {
		return "", err
	}
	components := []cyclonedx.Component{{BOMRef: "go", Type: cyclonedx.ComponentTypeLibrary, Name: "std",
		Version:    strings.TrimPrefix(info.GoVersion, "go"),
		PackageURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		components = append(components, cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path,
			Version: m.Version, PackageURL: purl})
		if m.Path == client {
			bundled, err := bundledIn(strings.TrimPrefix(m.Version, "v"))
			if err != nil {
				return "", err
			}
			components = append(components, bundled...)
		}
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Timestamp: r.at.Format(time.RFC3339), Component: &cyclonedx.Component{
		BOMRef: "replicator", Type: cyclonedx.ComponentTypeApplication, Name: "replicator", Version: r.version}}
	bom.Components = &components
	return r.create(fmt.Sprintf("replicator_%s_linux_%s.cdx.json", r.version, arch), func(w io.Writer) error {
		return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	})
}

// bundledIn lists librdkafka and the libraries in it.
func bundledIn(librdkafka string) ([]cyclonedx.Component, error) {
	text, err := os.ReadFile("deploy/notices/bundled.txt")
	if err != nil {
		return nil, err
	}
	list := []cyclonedx.Component{library("librdkafka", librdkafka)}
	for _, found := range bundledWork.FindAllStringSubmatch(string(text), -1) {
		list = append(list, library(strings.ToLower(found[1]), found[2]))
	}
	return list, nil
}

// library is a C library of some version.
func library(name, version string) cyclonedx.Component {
	c := cyclonedx.Component{BOMRef: name, Type: cyclonedx.ComponentTypeLibrary, Name: name, Version: version,
		PackageURL: "pkg:generic/" + name + "@" + version}
	if publisher := publisherOf[name]; publisher != "" {
		c.CPE = fmt.Sprintf("cpe:2.3:a:%s:%s:%s:*:*:*:*:*:*:*", publisher, name, version)
	}
	return c
}
