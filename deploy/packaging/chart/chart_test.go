package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	levels "k8s.io/pod-security-admission/api"
	pods "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

const chartDir = "../../helm/replicator"

// kinds are what the chart may make.
var kinds = map[string]func() any{
	"v1 ConfigMap":                            func() any { return new(core.ConfigMap) },
	"v1 Service":                              func() any { return new(core.Service) },
	"v1 ServiceAccount":                       func() any { return new(core.ServiceAccount) },
	"apps/v1 Deployment":                      func() any { return new(apps.Deployment) },
	"policy/v1 PodDisruptionBudget":           func() any { return new(policy.PodDisruptionBudget) },
	"networking.k8s.io/v1 NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"monitoring.coreos.com/v1 PodMonitor":     func() any { return new(monitoring.PodMonitor) },
	"monitoring.coreos.com/v1 PrometheusRule": func() any { return new(monitoring.PrometheusRule) },
}

// decode reads a manifest strictly: a key that Kubernetes does not know, or knows with another type, is an error.
func decode(t *testing.T, text string) []any {
	t.Helper()
	var objects []any
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		if strings.TrimSpace(document) == "" || strings.HasPrefix(strings.TrimSpace(document), "# Two replicas") {
			continue
		}
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		make := kinds[kind.APIVersion+" "+kind.Kind]
		if make == nil {
			t.Fatalf("%s %s is no kind that the chart may make\n%s", kind.APIVersion, kind.Kind, document)
		}
		object := make()
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Fatalf("%s: %v\n%s", kind.Kind, err, document)
		}
		objects = append(objects, object)
	}
	return objects
}

// objects renders the chart with a set of values from its ci folder, or given.
func objects(t *testing.T, values map[string]any) []any {
	t.Helper()
	rendered, err := render(chartDir, values, "mirrors")
	if err != nil {
		t.Fatal(err)
	}
	var all []any
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		all = append(all, decode(t, rendered[name])...)
	}
	return all
}

// of is the one object of a type, nil if there is none.
func of[T any](t *testing.T, all []any) *T {
	t.Helper()
	var found *T
	for _, object := range all {
		if it, ok := object.(*T); ok {
			if found != nil {
				t.Fatalf("there are two of %T", it)
			}
			found = it
		}
	}
	return found
}

func values(t *testing.T, name string) map[string]any {
	t.Helper()
	read, err := chartutil.ReadValuesFile(filepath.Join(chartDir, "ci", name+"-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// Helm's own linter has nothing to say, and Kubernetes knows every key of every object, with every set of values.
func TestChartIsValid(t *testing.T) {
	sets, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(sets) < 4 {
		t.Fatalf("%d sets of values, %v", len(sets), err)
	}
	for _, set := range sets {
		name := strings.TrimSuffix(filepath.Base(set), "-values.yaml")
		t.Run(name, func(t *testing.T) {
			for _, m := range lint.All(chartDir, values(t, name), "mirrors", true).Messages {
				if m.Severity > support.InfoSev {
					t.Error(m)
				}
			}
			for _, object := range objects(t, values(t, name)) {
				if named, ok := object.(interface{ GetNamespace() string }); !ok || named.GetNamespace() != "mirrors" {
					t.Errorf("%T is not in the release's namespace", object)
				}
			}
		})
	}
}

// What the sets of values ask for is there.
func TestChartMakesWhatIsAsked(t *testing.T) {
	bare := objects(t, values(t, "bare"))
	if len(bare) != 2 {
		t.Errorf("%d objects, want a ConfigMap and a Deployment", len(bare))
	}
	if d := of[apps.Deployment](t, bare); d.Name != "mirror" || d.Spec.Template.Spec.ServiceAccountName != "mine" {
		t.Errorf("%s runs as %s", d.Name, d.Spec.Template.Spec.ServiceAccountName)
	}

	all := objects(t, values(t, "everything"))
	pod := of[apps.Deployment](t, all).Spec.Template
	labels := pod.Labels
	for what, selector := range map[string]map[string]string{
		"Deployment":          of[apps.Deployment](t, all).Spec.Selector.MatchLabels,
		"Service":             of[core.Service](t, all).Spec.Selector,
		"PodDisruptionBudget": of[policy.PodDisruptionBudget](t, all).Spec.Selector.MatchLabels,
		"NetworkPolicy":       of[networking.NetworkPolicy](t, all).Spec.PodSelector.MatchLabels,
		"PodMonitor":          of[monitoring.PodMonitor](t, all).Spec.Selector.MatchLabels,
		"spread":              pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
		for k, v := range selector {
			if labels[k] != v {
				t.Errorf("%s selects %s=%s; the pods have %q", what, k, v, labels[k])
			}
		}
	}
	c := pod.Spec.Containers[0]
	if c.Ports[0].ContainerPort != 8080 || !strings.HasPrefix(c.Image, "registry.example.com/tools/replicator@sha256:") {
		t.Errorf("port %d, image %s", c.Ports[0].ContainerPort, c.Image)
	}
	if got := c.LivenessProbe.HTTPGet.Scheme; got != "HTTPS" {
		t.Errorf("probes ask by %s", got)
	}
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		mounts[m.MountPath] = m.Name
	}
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil && mounts["/run/secrets/"+v.Secret.SecretName] != v.Name {
			t.Errorf("secret %s is not mounted where the configuration looks for it", v.Secret.SecretName)
		}
	}
}

// The pods meet Kubernetes' restricted standard, by its own judgement, and write nothing to their root.
func TestPodsAreRestricted(t *testing.T) {
	standard, err := pods.NewEvaluator(pods.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := levels.LevelVersion{Level: levels.LevelRestricted, Version: levels.LatestVersion()}
	for _, set := range []string{"minimal", "everything", "bare", "manifest"} {
		pod := of[apps.Deployment](t, objects(t, values(t, set))).Spec.Template
		for _, result := range standard.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				t.Errorf("%s: %s: %s", set, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
		if !*pod.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem || *pod.Spec.AutomountServiceAccountToken {
			t.Errorf("%s: the root can be written to, or a token for Kubernetes is there", set)
		}
	}
}

// Another configuration replaces the pods; other replicas do not.
func TestConfigurationRollsThePods(t *testing.T) {
	template := func(change func(map[string]any)) string {
		v := values(t, "minimal")
		change(v)
		text, err := yaml.Marshal(of[apps.Deployment](t, objects(t, v)).Spec.Template)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	as := template(func(map[string]any) {})
	if got := template(func(v map[string]any) { v["replicas"] = 5 }); got != as {
		t.Errorf("more replicas change the pods: %s", got)
	}
	louder := func(v map[string]any) { v["config"].(map[string]any)["log"] = map[string]any{"level": "debug"} }
	if template(louder) == as {
		t.Error("another configuration changes nothing of the pods")
	}
}

// What the schema refuses is told before anything is installed.
func TestValuesAreChecked(t *testing.T) {
	for want, change := range map[string]func(map[string]any){
		"replcias": func(v map[string]any) { v["replcias"] = 3 },
		"clusters": func(v map[string]any) { delete(v["config"].(map[string]any), "clusters") },
		"flows":    func(v map[string]any) { v["config"].(map[string]any)["flows"] = []any{} },
		"listen": func(v map[string]any) {
			v["config"].(map[string]any)["http"] = map[string]any{"listen": "127.0.0.1:9642"}
		},
		"digest":                        func(v map[string]any) { v["image"] = map[string]any{"digest": "latest"} },
		"secretFiles":                   func(v map[string]any) { v["secretFiles"] = []any{map[string]any{"name": "x"}} },
		"terminationGracePeriodSeconds": func(v map[string]any) { v["terminationGracePeriodSeconds"] = 5 },
	} {
		v := values(t, "minimal")
		change(v)
		if _, err := render(chartDir, v, "mirrors"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// The rules are those of deploy/alerts.yaml and deploy/rules.yaml, and each board of deploy/grafana is there, unchanged.
func TestChartHoldsRulesAndBoards(t *testing.T) {
	all := objects(t, values(t, "everything"))
	groups := of[monitoring.PrometheusRule](t, all).Spec.Groups
	for _, file := range []string{"alerts.yaml", "rules.yaml"} {
		var rules struct{ Groups []monitoring.RuleGroup }
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &rules); err != nil {
			t.Fatal(err)
		}
		for _, want := range rules.Groups {
			if !slices.ContainsFunc(groups, func(g monitoring.RuleGroup) bool { return reflect.DeepEqual(g, want) }) {
				t.Errorf("the rules of %s are not as in deploy/%s", want.Name, file)
			}
		}
	}
	boards, err := filepath.Glob("../../grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, board := range boards {
		want, err := os.ReadFile(board)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(board)
		if !slices.ContainsFunc(all, func(object any) bool {
			m, ok := object.(*core.ConfigMap)
			return ok && m.Labels["grafana_dashboard"] == "1" &&
				strings.TrimSpace(m.Data[name]) == strings.TrimSpace(string(want))
		}) {
			t.Errorf("there is no ConfigMap of %s", name)
		}
	}
}

// The manifest is as the chart makes it now.
func TestManifestIsMadeFromTheChart(t *testing.T) {
	want, err := plain(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../kubernetes.yaml")
	if err != nil || string(got) != want {
		t.Errorf("deploy/kubernetes.yaml is not what the chart makes (%v); make chart writes it anew", err)
	}
	decode(t, string(got))
}
