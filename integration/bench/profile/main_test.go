package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
)

func TestLeavesProfiles(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var bootstrap [2]string
	for i := range bootstrap {
		bootstrap[i] = kafkatest.Start(t, kfake.ClusterID(fmt.Sprint("cluster", i))).Address()
	}
	if err := workload.Topics(ctx, bootstrap[0], 1, nil, "data"); err != nil {
		t.Fatal(err)
	}
	if err := workload.Bulk(ctx, bootstrap[0], "data", workload.BulkSpec{Records: 1000, Size: 100}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "flow.yaml")
	text := fmt.Sprintf("clusters:\n  old: {bootstrap.servers: %q}\n  new: {bootstrap.servers: %q}\n"+
		"flows:\n  - {from: old, to: new}\n", bootstrap[0], bootstrap[1])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cpu, heap := filepath.Join(dir, "cpu"), filepath.Join(dir, "heap")
	if err := run(file, cpu, heap); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{cpu, heap} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 {
			t.Errorf("%s is empty", path)
		}
	}
}
