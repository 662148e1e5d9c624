package versions

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

var example = Version{Topic: "orders", Version: "v1", State: Switching, Physical: "orders.v1", Cluster: "old",
	Partitions: 2, From: "v0", Partitioner: "murmur2_random", Copied: true,
	Offsets: map[string]Offsets{"WZ0zGGVrS3WCN1": {Drained: []int64{7}, Ends: []int64{8}, Begins: []int64{4, 6}}}}

// The example of docs/FORMATS.md is what is written, and is read again.
func TestFormat(t *testing.T) {
	doc, err := os.ReadFile("../../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	line := example.Key() + " " + string(example.Encode())
	if !strings.Contains(string(doc), "\n    "+line+"\n") {
		t.Errorf("docs/FORMATS.md does not have the example: %s", line)
	}
	again, err := Decode([]byte(example.Key()), example.Encode())
	if err != nil || !bytes.Equal(again.Encode(), example.Encode()) {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	if _, err := Decode([]byte("orders/v1"), []byte(`{"topic":"orders","version":"v1","state":"current",`+
		`"physical":"p","partitions":1,"later":"more"}`)); err != nil {
		t.Errorf("a field of a later release: %v", err)
	}
	for _, value := range []string{
		`{}`, `no JSON`,
		`{"topic":"orders","version":"v2","state":"current","physical":"p","partitions":1}`,
		`{"topic":"orders","version":"v1","state":"paused","physical":"p","partitions":1}`,
		`{"topic":"orders","version":"v1","state":"current","physical":"","partitions":1}`,
		`{"topic":"orders","version":"v1","state":"current","physical":"p","partitions":0}`,
	} {
		if v, err := Decode([]byte("orders/v1"), []byte(value)); err == nil {
			t.Errorf("%s is read as %+v", value, v)
		}
	}
}

func TestNumber(t *testing.T) {
	for name, want := range map[string]int{"v0": 0, "v12": 12, "v01": -1, "v-1": -1, "v+1": -1, "1": -1, "v": -1, "": -1} {
		if got := Number(name); got != want {
			t.Errorf("Number(%q) = %d, want %d", name, got, want)
		}
	}
}

// What publishers do after each announcement, in any order of the versions.
func TestView(t *testing.T) {
	view := View{Topic: "orders"}
	for i, c := range []struct {
		version  string
		state    State
		current  string
		writable bool
	}{
		{"v0", Current, "v0", true},
		{"v1", Preparing, "v0", true},
		{"v1", Switching, "v0", false},
		{"v1", Retired, "v0", true}, // given up
		{"v1", Preparing, "v0", true},
		{"v1", Switching, "v0", false},
		{"v1", Current, "v1", true},
		{"v0", Retired, "v1", true},
		{"v10", Switching, "v1", false}, // a number, not a text
		{"v10", Current, "v10", true},
	} {
		view = view.With(Version{Topic: "orders", Version: c.version, State: c.state, Physical: "p", Partitions: 1})
		if got := view.Current().Version; got != c.current || view.Writable() != c.writable {
			t.Errorf("after announcement %d: current %s, writable %v; want %s, %v", i, got, view.Writable(), c.current,
				c.writable)
		}
	}
	if got := (View{Topic: "orders"}).Current(); got.Version != "v0" || got.Physical != "orders" {
		t.Errorf("where nothing is announced: %+v", got)
	}
}
