package groups

import (
	"context"

	"replicator/pkg/replicate/chunk"
)

// Viewer shows groups from outside, as both clusters report them. It belongs to one goroutine.
type Viewer interface {
	Groups(context.Context) ([]Seen, error)
	Close()
}

// Seen is how a group stands, for somebody who looks at both sides from outside.
type Seen struct {
	Group     string
	Error     string // why it cannot be seen; "": it can
	Positions []SeenPosition
}

// SeenPosition is one of its positions.
type SeenPosition struct {
	Partition chunk.Partition // of the source
	Kind      Kind
	Settled   bool   // waiting does not change it
	Why       string // it is not right; "": it is
}
