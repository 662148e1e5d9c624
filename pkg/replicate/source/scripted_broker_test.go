package source

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/wire"
)

// says is what a scripted broker answers for one partition of orders.
type says map[int32]kmsg.FetchResponseTopicPartition

// holds is a partition's answer: batches, each with the offset it stands at, and its stable end.
func holds(stable int64, batches ...wire.Batch) kmsg.FetchResponseTopicPartition {
	p := kmsg.NewFetchResponseTopicPartition()
	p.HighWatermark, p.LastStableOffset, p.RecordBatches = stable, stable, []byte{}
	for _, b := range batches {
		p.RecordBatches = append(p.RecordBatches, b...)
	}
	return p
}

// at puts a batch where a broker would have stored it.
func at(base int64, b wire.Batch) wire.Batch {
	b = slices.Clone(b)
	binary.BigEndian.PutUint64(b, uint64(base)) // not under the checksum
	return b
}

// script gives the broker's answers to fetches, one by one. A fetch after the last
// of them is never answered.
func (f *fixture) script(answers ...says) {
	f.mu.Lock()
	defer f.mu.Unlock()
	scripted := f.answers != nil
	f.answers = answers
	if scripted {
		return
	}
	f.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		request := r.(*kmsg.FetchRequest)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.epochs = append(f.epochs, request.SessionEpoch)
		if offset, ok := named(request)[0]; ok {
			f.asked = append(f.asked, offset)
		}
		if len(f.answers) == 0 {
			return nil, nil, true
		}
		response := f.fetched(request, f.answers[0])
		f.answers = f.answers[1:]
		return response, nil, true
	})
}

// fetched is an answer about orders; where it says nothing, it names no topic either,
// as that of a broker that throttles. The broker keeps a session for whoever wants one.
func (f *fixture) fetched(request *kmsg.FetchRequest, says says) *kmsg.FetchResponse {
	response := request.ResponseKind().(*kmsg.FetchResponse)
	if request.SessionEpoch >= 0 {
		response.SessionID = scripted
	}
	if len(says) == 0 {
		return response
	}
	topic := kmsg.NewFetchResponseTopic()
	topic.Topic, topic.TopicID = "orders", f.fake.TopicInfo("orders").TopicID
	for number, p := range says {
		p.Partition = number
		topic.Partitions = append(topic.Partitions, p)
	}
	response.Topics = append(response.Topics, topic)
	return response
}

// scripted is the session of a scripted broker.
const scripted = 7

// named are the offsets from where a request names partitions of its only topic.
func named(request *kmsg.FetchRequest) map[int32]int64 {
	all := map[int32]int64{}
	for _, topic := range request.Topics {
		for _, p := range topic.Partitions {
			all[p.Partition] = p.FetchOffset
		}
	}
	return all
}

// askedFor is where orders/0 was asked from, request by request.
func (f *fixture) askedFor() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}
