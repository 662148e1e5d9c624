package terminal

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	text := strings.TrimSpace(strings.Repeat("twelve chars ", 20))
	got := Wrap(text, "    ")
	for i, line := range strings.Split(got, "\n") {
		if len(line) > Width || strings.HasSuffix(line, " ") || i > 0 && !strings.HasPrefix(line, "    ") {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if strings.Join(strings.Fields(got), " ") != text {
		t.Errorf("words were lost:\n%s", got)
	}
}
