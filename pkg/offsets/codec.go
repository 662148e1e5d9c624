package offsets

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Version is the first byte of everything encoded here, and the only one decoded.
//
// Version 1, all numbers unsigned varints (LEB128) in their shortest form:
//
//	runs:      1, number of runs,      per run:     source gap, target gap, count-1
//	stretches: 1, number of stretches, per stretch: gap, length-1
//
// A gap counts the offsets from the end of the entry before; the first entry's
// counts from offset 0.
const Version byte = 1

// EncodeRuns writes runs, 3 to 4 bytes each when gaps and counts are small. Runs
// that a Map would refuse panic: they must not reach the ledger.
func EncodeRuns(runs []Run) []byte {
	if err := validRuns(runs, Run{}); err != nil {
		panic("offsets: encode: " + err.Error())
	}
	out := make([]byte, 0, 16+4*len(runs))
	out = binary.AppendUvarint(append(out, Version), uint64(len(runs)))
	prev := Run{}
	for _, r := range runs {
		out = binary.AppendUvarint(out, uint64(r.Source-prev.SourceEnd()))
		out = binary.AppendUvarint(out, uint64(r.Target-prev.TargetEnd()))
		out = binary.AppendUvarint(out, uint64(r.Count-1))
		prev = r
	}
	return out
}

// DecodeRuns reads what EncodeRuns wrote and checks all of it. Its errors are
// *VersionError and *DamagedError.
func DecodeRuns(b []byte) ([]Run, error) {
	d, n, err := open("runs", b, 3)
	if err != nil {
		return nil, err
	}
	runs := make([]Run, n)
	prev := Run{}
	for i := range runs {
		s := d.offset(int64(prev.SourceEnd()))
		t := d.offset(int64(prev.TargetEnd()))
		c := d.offset(1)
		r := Run{Source: Source(s), Target: Target(t), Count: c}
		if d.err == nil && r.valid() != "" {
			d.fail(r.valid())
		}
		if d.err != nil {
			return nil, d.err
		}
		runs[i], prev = r, r
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return runs, nil
}

// EncodeStretches writes foreign stretches. Stretches that are empty, overlap or
// are out of order panic.
func EncodeStretches(list []Stretch) []byte {
	if err := validStretches(list); err != nil {
		panic("offsets: encode: " + err.Error())
	}
	out := binary.AppendUvarint([]byte{Version}, uint64(len(list)))
	end := Target(0)
	for _, s := range list {
		out = binary.AppendUvarint(out, uint64(s.From-end))
		out = binary.AppendUvarint(out, uint64(s.To-s.From-1))
		end = s.To
	}
	return out
}

// DecodeStretches reads what EncodeStretches wrote and checks all of it. Its
// errors are *VersionError and *DamagedError.
func DecodeStretches(b []byte) ([]Stretch, error) {
	d, n, err := open("stretches", b, 2)
	if err != nil {
		return nil, err
	}
	list := make([]Stretch, n)
	end := int64(0)
	for i := range list {
		from := d.offset(end)
		length := d.offset(1)
		if d.err == nil && from > math.MaxInt64-length {
			d.fail("a stretch ends beyond the largest offset")
		}
		if d.err != nil {
			return nil, d.err
		}
		end = from + length
		list[i] = Stretch{Target(from), Target(end)}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return list, nil
}

// decoder reads varints until the first error, which it keeps.
type decoder struct {
	what string
	all  []byte
	at   int
	err  error
}

// open reads the version and the number of entries, each of which takes at least
// size bytes: a damaged number cannot ask for more memory than the input explains.
func open(what string, b []byte, size int) (*decoder, int, error) {
	d := &decoder{what: what, all: b}
	if len(b) == 0 {
		d.fail("it is empty")
		return d, 0, d.err
	}
	if b[0] != Version {
		return d, 0, &VersionError{What: what, Got: b[0]}
	}
	d.at = 1
	n := d.uvarint()
	if left := len(b) - d.at; d.err == nil && n > uint64(left/size) {
		d.fail(fmt.Sprintf("%d entries do not fit in the %d bytes left", n, left))
	}
	return d, int(n), d.err
}

// uvarint reads one number in its shortest form.
func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.all[d.at:])
	switch {
	case n == 0:
		d.fail("it ends in the middle of a number")
	case n < 0:
		d.fail("a number is larger than 64 bits")
	case n > 1 && d.all[d.at+n-1] == 0:
		d.fail("a number is not in its shortest form")
	default:
		d.at += n
		return v
	}
	return 0
}

// offset reads a number and adds it to base; the sum stays an int64.
func (d *decoder) offset(base int64) int64 {
	v := d.uvarint()
	if d.err == nil && v > uint64(math.MaxInt64-base) {
		d.fail("an offset is beyond the largest one")
	}
	if d.err != nil {
		return 0
	}
	return base + int64(v)
}

func (d *decoder) fail(why string) { d.err = &DamagedError{What: d.what, At: d.at, Why: why} }

// end checks that nothing is left over.
func (d *decoder) end() error {
	if d.at != len(d.all) {
		d.fail(fmt.Sprintf("%d bytes are left over", len(d.all)-d.at))
	}
	return d.err
}

// VersionError reports an encoding that this build does not know.
type VersionError struct {
	What string // runs or stretches
	Got  byte
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s of the offset map are in format version %d; this replicator knows version %d",
		e.What, e.Got, Version)
}

// Remedy tells the operator what to do.
func (e *VersionError) Remedy() string {
	return "a newer replicator wrote this ledger: run that release or a later one; nothing was changed"
}

// DamagedError reports bytes that are not a valid encoding.
type DamagedError struct {
	What string // runs or stretches
	At   int    // byte position in the encoding
	Why  string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s of the offset map are damaged at byte %d: %s", e.What, e.At, e.Why)
}

// Remedy tells the operator what to do.
func (e *DamagedError) Remedy() string { return damagedRemedy }
