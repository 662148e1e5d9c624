package chunk

import (
	"fmt"
	"strings"
)

// Alike are the Stops of one topic that say the same but for partitions and offsets: for
// an operator they are one.
type Alike []*Stop

// Together puts the Stops together that are alike, in the order in which they come.
func Together(stops []*Stop) []Alike {
	type like struct{ topic, kind, fix string }
	var all []Alike
	at := map[like]int{}
	for _, s := range stops {
		key := like{s.Partition.Topic, s.Kind, s.Fix}
		i, known := at[key]
		if !known {
			i, at[key] = len(all), len(all)
			all = append(all, nil)
		}
		all[i] = append(all[i], s)
	}
	return all
}

// Error tells all partitions, and the reason of the first.
func (a Alike) Error() string {
	first := *a[0]
	if len(a) == 1 {
		return first.Error()
	}
	const most = 8
	var numbers []string
	for _, s := range a[:min(len(a), most)] {
		numbers = append(numbers, fmt.Sprint(s.Partition.Number))
	}
	list, more := strings.Join(numbers, ", "), ""
	if len(a) > most {
		list = fmt.Sprintf("%s and %d more", list, len(a)-most)
	}
	for _, s := range a[1:] {
		if s.Reason != first.Reason {
			more = " (the others alike)"
			break
		}
	}
	text := first.Reason
	if first.Err != nil {
		text += ": " + first.Err.Error()
	}
	return fmt.Sprintf("%s/%s: %s%s", first.Partition.Topic, list, text, more)
}

// Remedy tells what to do.
func (a Alike) Remedy() string { return a[0].Fix }

// Unwrap gives the first.
func (a Alike) Unwrap() error { return a[0] }
