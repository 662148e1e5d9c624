package compare

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"github.com/twmb/franz-go/pkg/kgo"
)

// canonical appends the form of a record that digests are made of: what a consumer
// sees, and nothing that its place in a log decides. See docs/FORMATS.md.
func canonical(to []byte, r *kgo.Record) []byte {
	to = binary.BigEndian.AppendUint64(to, uint64(timestamp(r)))
	to = appendBytes(to, r.Key)
	to = appendBytes(to, r.Value)
	to = binary.BigEndian.AppendUint32(to, uint32(len(r.Headers)))
	for _, h := range r.Headers {
		to = binary.BigEndian.AppendUint32(to, uint32(len(h.Key)))
		to = append(to, h.Key...)
		to = appendBytes(to, h.Value)
	}
	return to
}

func appendBytes(to, b []byte) []byte {
	if b == nil {
		return binary.BigEndian.AppendUint32(to, 0xffffffff)
	}
	to = binary.BigEndian.AppendUint32(to, uint32(len(b)))
	return append(to, b...)
}

// timestamp is in milliseconds; -1 for a record of a format that has none.
func timestamp(r *kgo.Record) int64 {
	if r.Attrs.TimestampType() < 0 {
		return -1
	}
	return r.Timestamp.UnixMilli()
}

// gather is how many bytes are hashed at once.
const gather = 64 << 10

// digest is a sum under way.
type digest struct {
	hash     hash.Hash
	gathered []byte
}

func newDigest() *digest { return &digest{hash: sha256.New()} }

func (d *digest) add(r *kgo.Record) {
	d.gathered = canonical(d.gathered, r)
	if len(d.gathered) >= gather {
		d.hash.Write(d.gathered)
		d.gathered = d.gathered[:0]
	}
}

func (d *digest) sum() string {
	d.hash.Write(d.gathered)
	d.gathered = nil
	return hex.EncodeToString(d.hash.Sum(nil))
}
