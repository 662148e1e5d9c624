package bench

import (
	"context"
	"fmt"
	"strconv"

	"replicator/integration/workload"
)

const partitions = 8

// Data is a topic to be copied.
type Data struct {
	Name    string // short, without dots
	Records int
	Size    int    // bytes of a value, JSON
	Codec   string // lz4 or zstd
}

// Full are the two amounts of data that are compared.
func Full() []Data {
	return []Data{
		{Name: "a", Records: 2_000_000, Size: 1000, Codec: "lz4"},
		{Name: "b", Records: 5_000_000, Size: 100, Codec: "zstd"},
	}
}

// Quick is one twentieth of [Full], to try things with. Its figures say little:
// most of the time is start-up.
func Quick() []Data {
	all := Full()
	for i := range all {
		all[i].Records /= 20
	}
	return all
}

func (d Data) String() string {
	return fmt.Sprintf("%s records of %s bytes, JSON, %s, %d partitions",
		thousands(int64(d.Records)), thousands(int64(d.Size)), d.Codec, partitions)
}

func (d Data) topic() string { return "bench-" + d.Name }

func (d Data) load(ctx context.Context, bootstrap string) error {
	if err := workload.Topics(ctx, bootstrap, partitions, nil, d.topic()); err != nil {
		return err
	}
	return workload.Bulk(ctx, bootstrap, d.topic(), workload.BulkSpec{
		Seed: 1, Records: d.Records, Size: d.Size, Codec: d.Codec,
	})
}

// thousands writes 2000000 as 2,000,000.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
