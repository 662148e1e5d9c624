package policy

// LeavesOut says which records of its source a flow does not copy, by who wrote them there.
type LeavesOut string

const (
	// Nothing: it does not see who wrote a record, and copies all.
	Nothing LeavesOut = ""
	// WhatCameBack: what the flow in the opposite direction wrote, which came from the target.
	WhatCameBack LeavesOut = "opposite"
	// WhatFlowsWrote: what any flow wrote. Only what began its way on the source is copied.
	WhatFlowsWrote LeavesOut = "flows"
)

// Habits are how a flow deals with what others do between the same clusters.
type Habits struct {
	LeavesOut     LeavesOut `json:"leaves_out,omitempty"`     // which records of its source it does not copy
	KeepsSettings bool      `json:"keeps_settings,omitempty"` // of topics on the target, as the source has them
}

// BothLeaveOut is what two flows in opposite directions under the same names need.
const BothLeaveOut = "both flows have to see who wrote a record (lane: batch, delivery: exactly_once), to leave out " +
	"what the other one brought"

// Opposite says whether a flow goes the other way between the same two clusters.
func (f Flow) Opposite(other Flow) bool { return f.From == other.To && f.To == other.From }

// Covered says that nothing goes round a circle of flows: from a flow by the way of others back to where it begins.
// Wherever on it a record is written, one of the flows behind the first that carries it leaves it out before it is
// back.
func Covered(f Flow, way ...Hop) bool {
	circle := []Flow{f}
	for _, h := range way {
		circle = append(circle, h.Flow)
	}
	for first := range circle {
		if !ends(circle, first) {
			return false
		}
	}
	return true
}

// ends says whether what the first flow carries on is left out before it comes to where it began.
func ends(circle []Flow, first int) bool {
	for step := 1; step < len(circle); step++ {
		f := circle[(first+step)%len(circle)]
		if f.LeavesOut == WhatFlowsWrote || f.LeavesOut == WhatCameBack && len(circle) == 2 {
			return true
		}
	}
	return false
}
