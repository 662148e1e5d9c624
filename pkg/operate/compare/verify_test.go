package compare

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
)

// fakeLog hands out what it holds in pages of any size.
type fakeLog struct {
	records []*kgo.Record
	start   int64
	more    bool
	page    func() int // records of the next page, may be 0
}

func (l *fakeLog) Read(_ context.Context, give func(Page) error) error {
	for left := l.records; len(left) > 0; {
		n := min(l.page(), len(left))
		if err := give(Page{Records: slices.Clone(left[:n]), Start: l.start, More: l.more}); err != nil {
			return err
		}
		left = left[n:]
	}
	return give(Page{Start: l.start, More: l.more})
}

func record(at int64, key, value string) *kgo.Record {
	r := &kgo.Record{Offset: at, Timestamp: time.UnixMilli(1000), ProducerID: 7}
	if key != "" {
		r.Key = []byte(key)
	}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

// story is a partition on both sides, with faults.
type story struct {
	p              Partition
	source, target fakeLog
	runs           []offsets.Run
	faults         int
}

// tell makes a story up: a source with gaps, its copy, and in the copy what a seed plants.
func tell(seed uint64) *story {
	random := rand.New(rand.NewPCG(seed, 3))
	page := func() int { return random.IntN(9) }
	s := &story{source: fakeLog{page: page}, target: fakeLog{page: page}}
	s.p = Partition{Settled: math.MaxInt64, Most: 1000, SourceCompacts: random.IntN(3) == 0,
		TargetCompacts: random.IntN(3) == 0}
	source, target := int64(random.IntN(5)), int64(random.IntN(50))
	n := random.IntN(120)
	plant := func(one int) bool {
		if random.IntN(one) == 0 {
			s.faults++
			return true
		}
		return false
	}
	once := 1000000
	if random.IntN(3) > 0 {
		once = 12
	}
	for i := range n {
		if random.IntN(6) == 0 {
			source += int64(random.IntN(3))
			target += int64(random.IntN(3))
		}
		key := ""
		if s.p.SourceCompacts || s.p.TargetCompacts || random.IntN(2) == 0 {
			key = fmt.Sprint("k", random.IntN(10))
		}
		value := fmt.Sprint("v", i)
		if key != "" && random.IntN(8) == 0 {
			value = ""
		}
		from, to := record(source, key, value), record(target, key, value)
		from.Headers = []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, i)}} // no two are the same
		to.Headers = from.Headers
		run := offsets.Run{Source: offsets.Source(source), Target: offsets.Target(target), Count: 1}
		onSource, onTarget, mapped := true, true, true
		switch {
		case plant(once):
			onTarget = false
		case plant(once):
			onSource = false
		case plant(once):
			onSource, onTarget = false, false
		case plant(once):
			mapped = false
		case plant(once):
			to.Value = []byte("other")
		case plant(once):
			to.Timestamp = time.UnixMilli(2)
		}
		if onSource {
			s.source.records = append(s.source.records, from)
		}
		if onTarget {
			s.target.records = append(s.target.records, to)
		}
		k := len(s.runs)
		if mapped && k > 0 && s.runs[k-1].SourceEnd() == run.Source && s.runs[k-1].TargetEnd() == run.Target {
			s.runs[k-1].Count++
		} else if mapped {
			s.runs = append(s.runs, run)
		}
		source, target = source+1, target+1
	}
	for i := 1; i < len(s.target.records); i++ {
		if a, b := s.target.records[i-1], s.target.records[i]; plant(2 * once) {
			*a, *b = *b, *a
			a.Offset, b.Offset = b.Offset, a.Offset
		}
	}
	for _, one := range []*fakeLog{&s.source, &s.target} {
		one.more = random.IntN(2) == 0
		if k := len(one.records); k > 0 && random.IntN(3) == 0 {
			cut := random.IntN(k)
			one.start = one.records[cut].Offset
			one.records = one.records[cut:]
		}
	}
	if random.IntN(3) == 0 {
		s.p.Foreign = []offsets.Stretch{{From: offsets.Target(target / 2), To: offsets.Target(target)}}
	}
	s.p.SourceStart, s.p.TargetStart = s.source.start, s.target.start
	return s
}

// dumb answers as Compare ought to, with everything in memory and no order of reading.
func (s *story) dumb() map[string]int64 {
	source, target, to := map[int64]*kgo.Record{}, map[int64]*kgo.Record{}, map[int64]int64{}
	for _, r := range s.source.records {
		source[r.Offset] = r
	}
	for _, r := range s.target.records {
		target[r.Offset] = r
	}
	n := map[string]int64{}
	lonely := map[int64]*kgo.Record{}   // target records that are not at their place
	homeless := map[int64]*kgo.Record{} // source records that are not at their place
	own := map[int64]int64{}            // source to target, of pairs that differ
	kindOf := map[int64]string{}        // of lonely ones
	back := map[int64]bool{}            // target offsets that are mapped
	content := func(r *kgo.Record) string { return string(canonical(nil, r)) }
	for _, r := range s.runs {
		for i := range r.Count {
			from, at := int64(r.Source)+i, int64(r.Target)+i
			to[from], back[at] = at, true
			f, t := source[from], target[at]
			switch {
			case f != nil && t != nil:
				n["compared"]++
				if content(f) != content(t) {
					homeless[from], lonely[at], own[from] = f, t, at
				}
			case f != nil && at < s.target.start:
				n[TargetDeleted]++
			case f != nil && s.p.TargetCompacts && f.Key != nil:
				if s.excused(f, at) {
					n[TargetCompacted]++
				} else {
					n[Missing]++
				}
			case f != nil:
				homeless[from] = f
			case t != nil && from < s.source.start:
				n[SourceDeleted]++
			case t != nil && s.p.SourceCompacts && t.Key != nil:
				n[SourceCompacted]++
			case t != nil:
				lonely[at], kindOf[at] = t, Extra
			case from < s.source.start || at < s.target.start:
				n[SourceDeleted]++ // of either side
			case s.p.SourceCompacts:
				n[SourceCompacted]++
			case s.p.TargetCompacts:
				n[TargetCompacted]++
			default:
				n[Missing]++
			}
		}
	}
	for from, f := range source {
		if _, mapped := to[from]; !mapped {
			homeless[from] = f
		}
	}
	for at, t := range target {
		if !back[at] {
			lonely[at], kindOf[at] = t, Extra
			for _, f := range s.p.Foreign {
				if int64(f.From) <= at && at < int64(f.To) {
					kindOf[at] = Foreign
				}
			}
		}
	}
	byContent := map[string]int64{}
	for at, t := range lonely {
		byContent[content(t)] = at
	}
	moved, taken := map[int64]bool{}, map[int64]bool{}
	for from, f := range homeless {
		if at, ok := byContent[content(f)]; ok {
			moved[from], taken[at] = true, true
		}
	}
	for from := range homeless {
		at, paired := own[from]
		switch {
		case moved[from]:
			n[OutOfOrder]++
		case paired && !taken[at]:
			n[Changed]++
			taken[at] = true // it is told of with its pair
		default:
			n[Missing]++
		}
	}
	for at := range lonely {
		if kind := kindOf[at]; !taken[at] && kind != "" {
			n[kind]++
		} else if !taken[at] {
			n[Extra]++
		}
	}
	return n
}

// excused: compaction may have taken the record for the target's log.
func (s *story) excused(f *kgo.Record, at int64) bool {
	if f.Value == nil || s.target.more {
		return true
	}
	for _, t := range s.target.records {
		if t.Offset > at && string(t.Key) == string(f.Key) {
			return true
		}
	}
	for _, r := range s.runs { // a later one that is gone as well: it is the one to ask for
		for i := range r.Count {
			for _, g := range s.source.records {
				there := slices.ContainsFunc(s.target.records, func(t *kgo.Record) bool { return t.Offset == int64(r.Target)+i })
				if g.Offset == int64(r.Source)+i && g.Offset > f.Offset && g.Key != nil && !there &&
					string(g.Key) == string(f.Key) && int64(r.Target)+i >= s.target.start {
					return true
				}
			}
		}
	}
	return false
}

func counts(r *Result) map[string]int64 {
	n := map[string]int64{"compared": r.Compared, Missing: r.Missing, Changed: r.Changed, Extra: r.Extra,
		Foreign:    r.Foreign,
		OutOfOrder: r.OutOfOrder}
	for reason, count := range r.Unverified {
		n[reason] += count
	}
	maps.DeleteFunc(n, func(_ string, count int64) bool { return count == 0 })
	return n
}

// merged makes one of what either side deleted: for a record that is on neither, who
// was first does not matter.
func merged(n map[string]int64) map[string]int64 {
	n = maps.Clone(n)
	n[SourceDeleted] += n[TargetDeleted]
	delete(n, TargetDeleted)
	maps.DeleteFunc(n, func(_ string, count int64) bool { return count == 0 })
	return n
}

func (s *story) compare(t *testing.T) *Result {
	t.Helper()
	left := s.runs
	s.p.Runs = func(context.Context) ([]offsets.Run, error) {
		n := min(len(left), 3)
		some := left[:n]
		left = left[n:]
		return some, nil
	}
	got, err := s.p.Compare(t.Context(), &s.source, &s.target)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCompareAgainstDumb(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(6000) {
		s := tell(seed)
		want := s.dumb()
		got := s.compare(t)
		if n := counts(got); !reflect.DeepEqual(merged(n), merged(want)) {
			t.Fatalf("seed %d: %v, want %v\nruns %v\n%+v", seed, n, want, s.runs, got.Listed)
		}
		for kind := range want {
			seen[kind]++
		}
		if got.Differences() == 0 && got.SourceDigest != got.TargetDigest {
			t.Fatalf("seed %d: no difference, but the digests differ", seed)
		}
		listed := int64(0)
		for _, d := range got.Listed {
			listed += d.Records
			if d.Why == "" || d.Source == nil && d.Target == nil {
				t.Fatalf("seed %d: %+v says too little", seed, d)
			}
		}
		if listed != got.Differences() {
			t.Fatalf("seed %d: %d records listed of %d", seed, listed, got.Differences())
		}
	}
	for _, kind := range []string{"compared", Missing, Changed, Extra, Foreign, OutOfOrder, SourceDeleted, TargetDeleted,
		SourceCompacted, TargetCompacted} {
		if seen[kind] < 20 {
			t.Errorf("%s came up %d times: the stories are too tame", kind, seen[kind])
		}
	}
}

// plain is a copy of n records without a fault.
func plain(n int64) *story {
	page := func() int { return 4 }
	s := &story{source: fakeLog{page: page}, target: fakeLog{page: page}}
	s.p = Partition{Settled: math.MaxInt64, Most: 10}
	s.runs = []offsets.Run{{Source: 0, Target: 100, Count: n}}
	for i := range n {
		s.source.records = append(s.source.records, record(i, "k", fmt.Sprint(i)))
		s.target.records = append(s.target.records, record(100+i, "k", fmt.Sprint(i)))
	}
	return s
}

func said(r *Result) string {
	var b strings.Builder
	at := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	for _, d := range r.Listed {
		fmt.Fprintf(&b, "%s %s>%s", d.Kind, at(d.Source), at(d.Target))
		if d.Found != nil {
			fmt.Fprintf(&b, " found %d", *d.Found)
		}
		if d.Fields != nil {
			fmt.Fprintf(&b, " %s", strings.Join(d.Fields, "+"))
		}
		b.WriteString("; ")
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func TestEachKindOfDifference(t *testing.T) {
	drop := func(list []*kgo.Record, i int) []*kgo.Record { return slices.Delete(list, i, i+1) }
	for _, c := range []struct {
		why   string
		plant func(*story)
		want  string
	}{
		{"nothing", func(*story) {}, ""},
		{"null and empty keys", func(s *story) { s.source.records[3].Key, s.target.records[3].Key = nil, []byte{} },
			"changed 3>103 key"},
		{"null and empty values", func(s *story) { s.source.records[3].Value, s.target.records[3].Value = []byte{}, nil },
			"changed 3>103 value"},
		{"null and empty headers", func(s *story) {
			s.source.records[3].Headers = []kgo.RecordHeader{{Key: "a"}}
			s.target.records[3].Headers = []kgo.RecordHeader{{Key: "a", Value: []byte{}}}
		}, "changed 3>103 headers"},
		{"the order of headers", func(s *story) {
			s.source.records[3].Headers = []kgo.RecordHeader{{Key: "a"}, {Key: "b"}}
			s.target.records[3].Headers = []kgo.RecordHeader{{Key: "b"}, {Key: "a"}}
		}, "changed 3>103 headers"},
		{"a millisecond", func(s *story) { s.target.records[3].Timestamp = time.UnixMilli(1001) }, "changed 3>103 timestamp"},
		{"all of it", func(s *story) { *s.target.records[3] = kgo.Record{Offset: 103, Timestamp: time.UnixMilli(1)} },
			"changed 3>103 key+value+timestamp"},
		{"neighbours", func(s *story) {
			a, b := s.target.records[3], s.target.records[4]
			a.Value, b.Value = b.Value, a.Value
		}, "out_of_order 3>103 found 104; out_of_order 4>104 found 103"},
		{"a hole in the target", func(s *story) { s.target.records = drop(s.target.records, 3) }, "missing 3>103"},
		{"a hole in the source", func(s *story) { s.source.records = drop(s.source.records, 3) }, "extra 3>103"},
		{"no run", func(s *story) { s.runs = []offsets.Run{{Source: 0, Target: 100, Count: 5}} },
			"out_of_order 5>- found 105"},
		{"nothing at the end", func(s *story) { s.target.records = s.target.records[:5] }, "missing 5>105"},
		{"one too many", func(s *story) { s.target.records = append(s.target.records, record(120, "", "x")) }, "extra ->120"},
	} {
		s := plain(6)
		c.plant(s)
		if got := said(s.compare(t)); got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}

func TestExtrasThatAreOurs(t *testing.T) {
	s := plain(6)
	s.target.records = append(s.target.records, record(120, "k", "4"))
	s.p.Repeats = true
	if got := s.compare(t); said(got) != "extra 4>120" || !strings.Contains(got.Listed[0].Why, "repeats") {
		t.Errorf("a record that was written twice: %+v", got.Listed)
	}
	s = plain(6)
	s.runs = []offsets.Run{{Source: 0, Target: 100, Count: 5}}
	s.target.records = s.target.records[:5]
	s.source.records[5].ProducerID = 99
	s.p.LeftOut = func(_ context.Context, r *kgo.Record) (bool, error) { return r.ProducerID == 99, nil }
	if got := s.compare(t); got.Differences() != 0 || got.Unverified[LeftOut] != 1 ||
		got.SourceDigest != got.TargetDigest {
		t.Errorf("a record of the opposite flow: %+v", got)
	}
}

// What retention takes while the logs are read is not missing.
func TestRetentionMovesMeanwhile(t *testing.T) {
	s := plain(40)
	target := &moving{fakeLog: s.target, after: 2, to: 120}
	s.p.Runs = nil
	left := s.runs
	s.p.Runs = func(context.Context) ([]offsets.Run, error) { defer func() { left = nil }(); return left, nil }
	got, err := s.p.Compare(t.Context(), &s.source, target)
	if err != nil || got.Differences() != 0 || got.Compared != 28 || got.Unverified[TargetDeleted] != 12 ||
		got.SourceDigest != got.TargetDigest {
		t.Errorf("%+v, %v, want 8 records read before 12 were deleted, and 20 after", got, err)
	}
}

// moving is a log whose start moves after some pages of 4.
type moving struct {
	fakeLog
	after int
	to    int64
}

func (l *moving) Read(_ context.Context, give func(Page) error) error {
	for i := 0; i < len(l.records); i += 4 {
		page := Page{Records: slices.Clone(l.records[i : i+4]), Start: l.start}
		if i/4 >= l.after {
			l.start, page.Start = l.to, l.to
			page.Records = slices.DeleteFunc(page.Records, func(r *kgo.Record) bool { return r.Offset < l.to })
		}
		if err := give(page); err != nil {
			return err
		}
	}
	return nil
}

// A digest can be computed again by whoever reads docs/FORMATS.md.
func TestCanonicalForm(t *testing.T) {
	r := &kgo.Record{Timestamp: time.UnixMilli(1700000000000), Key: []byte("k"),
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte{}}, {Key: "b"}}}
	d := newDigest()
	d.add(r)
	doc, err := os.ReadFile("../../../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for _, want := range []string{fmt.Sprintf("%x", canonical(nil, r)), d.sum()} {
		if !strings.Contains(squeeze(string(doc)), want) {
			t.Errorf("docs/FORMATS.md does not have %s", want)
		}
	}
}
