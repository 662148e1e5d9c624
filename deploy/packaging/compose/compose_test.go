// Package compose holds deploy/compose.yaml to the Compose specification, by its own library. No image is pulled.
package compose

import (
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// The file is a valid one, what it mounts is there, and each image has a version.
func TestComposeIsValid(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../../compose.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := project.CheckContainerNameUnicity(); err != nil {
		t.Error(err)
	}
	used := map[string]bool{}
	for _, service := range project.Services {
		if service.Build == nil && !strings.Contains(service.Image, ":") {
			t.Errorf("%s: image %q has no version", service.Name, service.Image)
		}
		if build := service.Build; build != nil {
			if _, err := os.Stat(build.Context + "/" + build.Dockerfile); err != nil {
				t.Errorf("%s: %v", service.Name, err)
			}
		}
		for _, mount := range service.Volumes {
			if _, err := os.Stat(mount.Source); err != nil || mount.Type != types.VolumeTypeBind || !mount.ReadOnly {
				t.Errorf("%s mounts %s (%s): %v", service.Name, mount.Source, mount.Type, err)
			}
		}
		for _, config := range service.Configs {
			used[config.Source] = true
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s opens port %s to others than this machine", service.Name, port.Published)
			}
		}
	}
	for name, config := range project.Configs {
		if config.Content == "" || !used[name] {
			t.Errorf("configuration %s is used: %t, and holds %q", name, used[name], config.Content)
		}
	}
	if len(project.Services) != 7 {
		t.Errorf("%d services", len(project.Services))
	}
}
