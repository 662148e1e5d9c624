package replay

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Options say what to import.
type Options struct {
	Path    string
	Cluster kafka.Config
	Prefix  string // of all names that are ours on the cluster
	DryRun  bool   // read the file and look at the topics; write nothing
}

// Imported is what is in a file, and what became of it.
type Imported struct {
	File       string   `json:"file"`
	SHA256     string   `json:"sha256"`
	Cluster    string   `json:"cluster"`
	Records    int64    `json:"records"`
	Partitions []InFile `json:"partitions"`
	DryRun     bool     `json:"dry_run"`
	Written
}

// InFile is a partition in a file.
type InFile struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Records   int64  `json:"records"`
	Bytes     int64  `json:"bytes"` // of keys, values and headers
}

// Import replays a file. It reads all of it before it writes the first record, and goes by what the file holds: the
// same content under another name is the same file.
func Import(ctx context.Context, o Options) (*Imported, error) {
	file, err := os.Open(o.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read
	if kind, err := file.Stat(); err != nil || !kind.Mode().IsRegular() {
		return nil, &kafka.Problem{What: o.Path + " is no regular file, and is read twice", Err: err,
			Fix: "write what it holds to a file first"}
	}
	im, topics, err := survey(file, o)
	if err != nil {
		return nil, err
	}
	job := &Job{
		Cluster: o.Cluster, Prefix: o.Prefix, Name: im.SHA256, Topics: topics,
		Place: func(position int64) string { return fmt.Sprintf("line %d of %s", position, o.Path) },
		Records: func(_ context.Context, give func(int64, *kgo.Record) error) error {
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				return err
			}
			_, err := readLines(file, o.Path, give)
			return err
		},
	}
	if o.DryRun {
		return im, job.Check(ctx)
	}
	im.Written, err = job.Run(ctx)
	return im, err
}

// survey reads a file to its end: what is in it, and how many partitions its topics need.
func survey(file *os.File, o Options) (*Imported, map[string]int, error) {
	im := &Imported{File: o.Path, Cluster: o.Cluster.Name, DryRun: o.DryRun, Partitions: []InFile{}}
	parts, topics := map[chunk.Partition]*InFile{}, map[string]int{}
	var err error
	im.SHA256, err = readLines(file, o.Path, func(_ int64, r *kgo.Record) error {
		at := chunk.Partition{Topic: r.Topic, Number: r.Partition}
		p := parts[at]
		if p == nil {
			p = &InFile{Topic: at.Topic, Partition: at.Number}
			parts[at] = p
		}
		im.Records++
		p.Records++
		p.Bytes += Bytes(r)
		topics[at.Topic] = max(topics[at.Topic], int(at.Number)+1)
		return nil
	})
	for _, p := range parts {
		im.Partitions = append(im.Partitions, *p)
	}
	slices.SortFunc(im.Partitions, func(a, b InFile) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return im, topics, err
}

// Bytes are those of a record's key, value and headers.
func Bytes(r *kgo.Record) int64 {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return int64(n)
}
