package status

import (
	"strings"

	"replicator/internal/answers"
	"replicator/pkg/operate/inspect"
)

// Words tells of a flow what Show does above its tables.
func Words(s *inspect.FlowStatus) answers.Remark {
	said := answers.Remark{Flow: s.Flow, Headline: headline(s), Notes: []answers.Note{}}
	for _, r := range attention(s, false) {
		fact, urgent := strings.CutPrefix(r.fact, "! ")
		said.Notes = append(said.Notes, answers.Note{Fact: strings.TrimSpace(fact), Remedy: r.remedy, Urgent: urgent})
	}
	return said
}
