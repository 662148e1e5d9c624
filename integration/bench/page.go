package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Between these lines of a page stand the results of the last run.
const (
	beginMark = "<!-- results: written by make bench -->"
	endMark   = "<!-- end of results -->"
)

// WritePage puts results into a Markdown file, between its two marks.
func WritePage(path, results string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, err := place(string(text), results)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

func place(page, results string) (string, error) {
	before, rest, begun := strings.Cut(page, beginMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !begun || !ended {
		return "", errors.New("the page lacks the line " + beginMark + ", or the line " + endMark + " after it")
	}
	return before + beginMark + "\n\n" + strings.TrimSpace(results) + "\n\n" + endMark + after, nil
}
