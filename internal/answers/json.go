package answers

import (
	"encoding/json"
	"io"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
)

// Print prints a document, over several lines or on one.
func Print(w io.Writer, document any, indented bool) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // old->new
	if indented {
		encoder.SetIndent("", "  ")
	}
	return encoder.Encode(document)
}

// Listed is a list that JSON shows as one, also if it is empty.
func Listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// problems are errors with their remedies.
func problems(list []error) []inspect.ProblemStatus {
	all := []inspect.ProblemStatus{}
	for _, err := range list {
		all = append(all, inspect.ProblemStatus{Error: err.Error(), Remedy: chunk.Remedy(err)})
	}
	return all
}
