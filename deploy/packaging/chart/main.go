// Chart writes deploy/kubernetes.yaml, the Helm chart rendered once for those who have no Helm; a test holds it equal
// to the chart. What the chart needs of files outside of its folder are links, which Helm follows.
//
//	go run ./chart
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func main() {
	text, err := plain("../helm/replicator")
	if err == nil {
		err = os.WriteFile("../kubernetes.yaml", []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// plain is the chart in dir as one manifest, for kubectl.
func plain(dir string) (string, error) {
	values, err := chartutil.ReadValuesFile(filepath.Join(dir, "ci", "manifest-values.yaml"))
	if err != nil {
		return "", err
	}
	rendered, err := render(dir, values, "")
	if err != nil {
		return "", err
	}
	text := "# Two replicas share the shards; when one goes, the other takes over in seconds. Nothing is stored\n" +
		"# outside Kafka. Made from the chart in deploy/helm (make chart), for kubectl apply --namespace NAMESPACE.\n"
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		// Without a namespace here, kubectl's counts.
		text += "---\n" + strings.ReplaceAll(rendered[name], "  namespace: \n", "")
	}
	return text, nil
}

// render is what Helm would install: each template that says something, by its name.
func render(dir string, values map[string]any, namespace string) (map[string]string, error) {
	loaded, err := loader.LoadDir(dir)
	if err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: "replicator", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(loaded, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{Strict: true}.Render(loaded, all)
	maps.DeleteFunc(rendered, func(name, text string) bool {
		return strings.TrimSpace(text) == "" || filepath.Ext(name) != ".yaml"
	})
	return rendered, err
}
