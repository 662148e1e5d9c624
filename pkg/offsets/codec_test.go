package offsets

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// The bytes of format version 1: a later version must still read them.
func TestRunsGolden(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "0100",
		"0-0>0":                        "0101000000",
		"0-4>100 7-8>107":              "0102006404020201",
		"1000-1999>500 2001-2001>1501": "0102e807f403e707010100",
		"3-3>9223372036854775806":      "010103feffffffffffffff7f00",
		"0-9223372036854775806>0":      "01010000feffffffffffffff7f",
		"0-0>0 1-1>1":                  "0102000000000000", // touching runs are kept as they are
		"128-255>16384 383-383>16512":  "01028001808001" + "7f" + "7f0000",
		"9223372036854775806-9223372036854775806>0": "0101feffffffffffffff7f0000",
	} {
		got := EncodeRuns(runsOf(t, text))
		if hex.EncodeToString(got) != want {
			t.Errorf("EncodeRuns(%q) = %x, want %s", text, got, want)
		}
		wantBytes, err := hex.DecodeString(want)
		if err != nil {
			t.Fatal(err)
		}
		if runs, err := DecodeRuns(wantBytes); err != nil || !slices.Equal(runs, runsOf(t, text)) {
			t.Errorf("DecodeRuns(%s) = %v, %v, want %s", want, runs, err, text)
		}
	}
}

func TestStretchesGolden(t *testing.T) {
	for _, c := range []struct {
		list []Stretch
		want string
	}{
		{nil, "0100"},
		{[]Stretch{{0, 1}}, "01010000"},
		{[]Stretch{{10, 13}, {200, 201}}, "01020a02bb0100"},
		{[]Stretch{{math.MaxInt64 - 1, math.MaxInt64}}, "0101feffffffffffffff7f00"},
	} {
		got := EncodeStretches(c.list)
		if hex.EncodeToString(got) != c.want {
			t.Errorf("EncodeStretches(%v) = %x, want %s", c.list, got, c.want)
		}
		if list, err := DecodeStretches(got); err != nil || !slices.Equal(list, c.list) {
			t.Errorf("DecodeStretches(%s) = %v, %v, want %v", c.want, list, err, c.list)
		}
	}
}

// A busy partition breaks its run with one marker per commit: 4 bytes each.
func TestSegmentSize(t *testing.T) {
	m := &Map{}
	for i := range int64(SegmentRuns) {
		if err := m.Append(Run{Source(i * 5000), Target(i * 5001), 5000}); err != nil {
			t.Fatal(err)
		}
	}
	if got, limit := len(EncodeRuns(m.Tail())), 4*SegmentRuns+8; got > limit {
		t.Errorf("%d runs take %d bytes, want at most %d", SegmentRuns, got, limit)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ bytes, says, why string }{
		{"", "at byte 0: it is empty", "nothing"},
		{"01", "middle of a number", "no count"},
		{"0101", "1 entries do not fit in the 0 bytes left", "no entries"},
		{"01020000000000", "2 entries do not fit in the 5 bytes left", "one entry short"},
		{"01ffffffffffffffffff01000000", "do not fit", "count as large as can be"},
		{"0101000080", "middle of a number", "cut inside a number"},
		{"010100000000", "1 bytes are left over", "trailing byte"},
		{"01000000", "2 bytes are left over", "trailing bytes after nothing"},
		{"010180000000", "shortest form", "padded number"},
		{"0101ffffffffffffffffff020000", "larger than 64 bits", "number too long"},
		{"0101ffffffffffffffffff010000", "beyond the largest", "offset is no int64"},
		{"01010000ffffffffffffffff7f", "beyond the largest", "count is no int64"},
		{"010101" + "00" + "feffffffffffffff7f", "source end", "source end overflows"},
		{"010100" + "01" + "feffffffffffffff7f", "target end", "target end overflows"},
		{"01020000feffffffffffffff7f010000", "beyond the largest", "second run overflows"},
	} {
		b, err := hex.DecodeString(c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		runs, err := DecodeRuns(b)
		var damaged *DamagedError
		if !errors.As(err, &damaged) || runs != nil || damaged.Remedy() == "" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: DecodeRuns(%s) = %v, %v, want a DamagedError that says %q", c.why, c.bytes, runs, err, c.says)
		}
	}
	for _, c := range []struct{ bytes, says string }{
		{"", "it is empty"}, {"010100", "do not fit"}, {"0101000000", "left over"},
		{"0101ffffffffffffffff7f00", "beyond the largest"}, {"010180", "do not fit"}, {"01010080", "middle of a number"},
	} {
		b, err := hex.DecodeString(c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := DecodeStretches(b); err == nil || list != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("DecodeStretches(%s) = %v, %v, want an error that says %q", c.bytes, list, err, c.says)
		}
	}
}

func TestDecodeUnknownVersion(t *testing.T) {
	_, errRuns := DecodeRuns([]byte{2, 0})
	_, errStretches := DecodeStretches([]byte{0, 0})
	for _, err := range []error{errRuns, errStretches} {
		var version *VersionError
		if !errors.As(err, &version) || !strings.Contains(version.Remedy(), "newer replicator") {
			t.Errorf("unknown version: %v, want a VersionError with its remedy", err)
		}
	}
}

func TestEncodePanicsOnWhatAMapRefuses(t *testing.T) {
	for why, encode := range map[string]func(){
		"empty run":           func() { EncodeRuns([]Run{{0, 0, 0}}) },
		"overlapping runs":    func() { EncodeRuns([]Run{{0, 0, 2}, {1, 5, 1}}) },
		"empty stretch":       func() { EncodeStretches([]Stretch{{4, 4}}) },
		"unordered stretches": func() { EncodeStretches([]Stretch{{4, 6}, {5, 8}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: encoded", why)
				}
			}()
			encode()
		}()
	}
}

// FuzzDecodeRuns: whatever is accepted is valid, and has this one encoding only.
func FuzzDecodeRuns(f *testing.F) {
	for _, text := range []string{"", "0100", "0102006404020201", "01ffffffffffffffffff01000000", "0101000080", "0200"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if runs, err := DecodeRuns(b); err == nil {
			if err := validRuns(runs, Run{}); err != nil {
				t.Fatalf("%x is decoded to invalid runs: %v", b, err)
			}
			if again := EncodeRuns(runs); !bytes.Equal(again, b) {
				t.Fatalf("%x is decoded to %v, which is encoded as %x", b, runs, again)
			}
		}
		if list, err := DecodeStretches(b); err == nil {
			if again := EncodeStretches(list); !bytes.Equal(again, b) {
				t.Fatalf("%x is decoded to %v, which is encoded as %x", b, list, again)
			}
		}
	})
}
