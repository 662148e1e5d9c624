package terminal

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size prints bytes; nil is not known.
func Size(n *int64) string {
	if n == nil {
		return "an unknown size"
	}
	value, unit := float64(*n), "B"
	for _, u := range byteUnits {
		if float64(*n) >= u.size {
			value, unit = float64(*n)/u.size, u.name
		}
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", *n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// ByteRate is a flag in bytes per second.
type ByteRate float64

var byteUnits = []struct {
	name string
	size float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

// Set reads a number, with or without a unit.
func (r *ByteRate) Set(text string) error {
	number, factor := text, 1.0
	for _, unit := range byteUnits {
		if rest, ok := strings.CutSuffix(text, unit.name); ok {
			number, factor = rest, unit.size
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n > 0) || math.IsInf(n, 0) {
		return fmt.Errorf("%q is no rate; give bytes per second above 0, as 50000000 or 48MiB", text)
	}
	*r = ByteRate(n * factor)
	return nil
}

func (r *ByteRate) String() string { return strconv.FormatFloat(float64(*r), 'f', -1, 64) }

// Type names the value in the help.
func (r *ByteRate) Type() string { return "bytes" }

// Megabytes are bytes in units of 1,000,000.
func Megabytes(n int64) float64 { return float64(n) / 1e6 }
