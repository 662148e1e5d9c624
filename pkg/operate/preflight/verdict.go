package preflight

// Verdict is one word for what would happen to a topic.
func (t *TopicPlan) Verdict() string {
	switch {
	case t.Stop != nil:
		return "STOP"
	case len(t.Stops) > 0:
		return "STOP part"
	case t.Create:
		return "create"
	case !t.Nothing():
		return "alter"
	}
	return "as is"
}
