package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The configuration in the manifest for Kubernetes, which the Helm chart has made, is right.
func TestManifest(t *testing.T) {
	manifest, err := os.ReadFile("../../deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "new-password")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewDecoder(bytes.NewReader(manifest))
	for {
		var object struct {
			Kind string
			Data map[string]string
		}
		if err := documents.Decode(&object); err != nil {
			t.Fatalf("no ConfigMap is found: %v", err)
		}
		if object.Kind != "ConfigMap" {
			continue
		}
		text := strings.ReplaceAll(object.Data["site.yaml"], "/run/secrets/replicator/new-password", secret)
		config, err := Parse("site.yaml", []byte(text), variables())
		if err != nil || config.HTTP.Listen != "0.0.0.0:9642" ||
			config.Clusters["new"].Properties["sasl.password"] != "secret" {
			t.Errorf("%v\n%s", err, text)
		}
		return
	}
}
