package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"replicator/integration/workload"
)

// The image copies as it is meant to run: as a user of its own who is not root, without capabilities, on a root that
// nothing can be written to; and it ends in order. .ci/run builds it from deploy/Dockerfile where there is an engine.
func TestImage(t *testing.T) {
	image := os.Getenv("REPLICATOR_IMAGE")
	if image == "" {
		t.Skip("REPLICATOR_IMAGE names no image of the program")
	}
	source, target := shared(t)
	ctx := deadline(t, 2*time.Minute)
	topic := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), topic))
	mixed(ctx, t, source.Bootstrap(), topic, 100, 1000, 2)
	groups := stand(ctx, t, source.Bootstrap(), 101, 5, topic)
	s := newSite(t, source, target, patterns(t, []string{topic})...)
	// The user of the image has to read the configuration.
	must(t, os.Chmod(s.path, 0o644))
	s.binary = filepath.Join(t.TempDir(), "replicator")
	must(t, os.WriteFile(s.binary, fmt.Appendf(nil, "#!/bin/sh\nexec docker run --rm --network host --read-only "+
		"--cap-drop ALL --security-opt no-new-privileges --volume %s:%[1]s:ro %s \"$@\"\n", s.path, image), 0o755))
	d := s.run()
	judged(ctx, t, s.sides(), []string{topic}, groups)
	d.stop()
}
