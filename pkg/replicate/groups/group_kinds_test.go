package groups

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A group of the streams protocol (KIP-1071) commits offsets as others do, and follows. A
// share group has none, and is counted; a worker group of Connect is neither.
func TestKindsOfGroups(t *testing.T) {
	f := newFixture(t)
	f.commit(f.source, "pipeline", "t", 0, 7, "")
	f.sources.ControlKey(int16(kmsg.ListGroups), func(in kmsg.Request) (kmsg.Response, error, bool) {
		f.sources.KeepControl()
		out := in.ResponseKind().(*kmsg.ListGroupsResponse)
		if f.sources.CurrentNode() != 0 {
			return out, nil, true
		}
		for name, protocol := range map[string]string{"pipeline": "streams", "sharers": "share", "not-sharers": "share",
			"workers": "connect"} {
			one := kmsg.NewListGroupsResponseGroup()
			one.Group, one.ProtocolType, one.GroupState = name, protocol, "Stable"
			out.Groups = append(out.Groups, one)
		}
		return out, nil, true
	})
	r := f.expect("the streams group moves", map[Kind]int{Moved: 1})
	if r.Listed != 1 || r.Selected != 1 || r.Shares != 1 {
		t.Errorf("%d groups that commit, %d selected, %d share groups, want 1 of each", r.Listed, r.Selected, r.Shares)
	}
	f.holds("pipeline", 0, 7+shift)
}
