package groups

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
)

// say makes the target answer commits of group g with an error, once.
func (f *fixture) say(code *kerr.Error) {
	f.targets.ControlKey(int16(kmsg.OffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		request := kreq.(*kmsg.OffsetCommitRequest)
		response := request.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range request.Topics {
			answer := kmsg.NewOffsetCommitResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				one := kmsg.NewOffsetCommitResponseTopicPartition()
				one.Partition, one.ErrorCode = p.Partition, code.Code
				answer.Partitions = append(answer.Partitions, one)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
}

func TestWhatBecomesOfARefusedCommit(t *testing.T) {
	for code, want := range map[*kerr.Error]Kind{
		kerr.UnknownMemberID:             Active,
		kerr.RebalanceInProgress:         Active,
		kerr.CoordinatorLoadInProgress:   Retried,
		kerr.NotCoordinator:              Retried,
		kerr.UnknownTopicOrPartition:     Retried,
		kerr.GroupAuthorizationFailed:    Refused,
		kerr.TopicAuthorizationFailed:    Refused,
		kerr.OffsetMetadataTooLarge:      Refused,
		kerr.GroupIDNotFound:             Refused,
		kerr.InvalidCommitOffsetSize:     Refused,
		kerr.UnknownServerError:          Refused,
		kerr.UnsupportedForMessageFormat: Refused,
	} {
		t.Run(code.Message, func(t *testing.T) {
			f := newFixture(t)
			f.commit(f.source, "g", "t", 0, 10, "")
			f.say(code)
			r := f.expect("refused once", map[Kind]int{want: 1})
			got := r.Positions[0]
			if got.Decision.Write || got.After != -1 || got.Decision.Why == "" {
				t.Errorf("got %+v", got)
			}
			if want == Refused && (chunk.Remedy(got.Err) == "" || !errors.Is(got.Err, code)) {
				t.Errorf("%v has no remedy, or is not %v", got.Err, code)
			}
			if code == kerr.GroupAuthorizationFailed && !strings.Contains(chunk.Remedy(got.Err), "Read on group g") {
				t.Errorf("remedy %q does not name the right", chunk.Remedy(got.Err))
			}
			f.expect("then taken", map[Kind]int{Moved: 1})
			f.holds("g", 0, 1010)
		})
	}
}
