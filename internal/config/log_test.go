package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// A line of JSON holds what the text holds: orders/3, not the fields of a struct.
func TestLogsHoldWords(t *testing.T) {
	p := chunk.Partition{Topic: "orders", Number: 3}
	values := map[string]any{
		"partition": p, "pointer": &p, "partitions": []chunk.Partition{p, {Topic: "a"}}, "took": 1500 * time.Millisecond,
		"error": fmt.Errorf("it: %w", errors.New("failed")), "errors": []error{errors.New("one")},
		"offset": offsets.Source(7), "names": []string{"a", "b"}, "set": map[string]string{"k": "v"}, "n": 3,
		"stretch": offsets.Stretch{From: 1, To: 2}, "nothing": nil, "level_of": slog.LevelWarn,
	}
	want := map[string]any{
		"partition": "orders/3", "pointer": "orders/3", "partitions": []any{"orders/3", "a/0"}, "took": "1.5s",
		"error": "it: failed", "errors": []any{"one"}, "offset": 7.0, "names": []any{"a", "b"},
		"set": map[string]any{"k": "v"}, "n": 3.0, "stretch": "[1,2)", "nothing": nil, "level_of": "WARN",
		"level": "INFO", "msg": "it happened",
	}
	var out bytes.Buffer
	log := slog.New(Log{Format: JSON}.Handler(&out))
	var attrs []any
	for key, value := range values {
		attrs = append(attrs, key, value)
	}
	log.Info("it happened", attrs...)
	got := map[string]any{}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["time"])); err != nil {
		t.Errorf("its time: %v", err)
	}
	delete(got, "time")
	for key := range want {
		if !reflect.DeepEqual(got[key], want[key]) {
			t.Errorf("%s is %#v, want %#v", key, got[key], want[key])
		}
	}
}
