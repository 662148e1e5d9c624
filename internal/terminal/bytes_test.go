package terminal

import "testing"

func TestByteRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"5": 5, "2KiB": 2048, "1.5MiB": 1.5 * (1 << 20), "1GiB": 1 << 30} {
		var got ByteRate
		if err := got.Set(text); err != nil || float64(got) != want {
			t.Errorf("%s is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "fast", "5MB", "Inf", "NaN"} {
		var got ByteRate
		if err := got.Set(text); err == nil {
			t.Errorf("%s is taken for %v", text, got)
		}
	}
}
