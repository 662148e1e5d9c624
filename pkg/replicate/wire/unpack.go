package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What is unpacked of one batch at most. A few bytes may claim, or hold, any size: 45 KB
// of zstd are 400 MB of zeros. Batches are read as they are unpacked, so that none of
// these bounds is memory, but the one of a record: it comes whole.
const (
	// MostUnpacked is the most bytes of a batch, unpacked.
	MostUnpacked = 1 << 30
	// MostRecord is the most bytes of a record, unpacked; of a block of snappy, too, and
	// the most that zstd may look back.
	MostRecord = 128 << 20
	// MostHeaders is the most headers of a record.
	MostHeaders = 1 << 16
)

// TooMuchError says that a batch is beyond one of the bounds.
type TooMuchError struct {
	What string // that there is too much of
	Most int
}

func (e *TooMuchError) Error() string {
	return fmt.Sprintf("it has more than %d %s, which is the most that is read", e.Most, e.What)
}

// window gives what is unpacked, piece by piece. What it gave stays as it is.
type window struct {
	from io.Reader // nil: all of it is in rest
	rest []byte    // unpacked and not taken yet
	left int       // bytes that may still be unpacked
	done func()    // lets go of the reader
	// large is called before a record is unpacked that takes much memory.
	large func()
}

const (
	pieceBytes = 256 << 10
	largeBytes = 8 << 20
)

// unpacked opens what is compressed with a codec; close must be called.
func unpacked(packed []byte, codec kgo.CompressionCodecType) (*window, error) {
	w := &window{left: MostUnpacked, done: func() {}, large: func() {}}
	switch codec {
	case kgo.CodecNone:
		w.rest = packed
	case kgo.CodecGzip:
		from, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		w.from = from
	case kgo.CodecSnappy:
		if len(packed) == 0 {
			return nil, errors.New("snappy: not even a size is there")
		}
		w.from = &snappy{packed: packed}
		if framed := bytes.HasPrefix(packed, javaFrame) && len(packed) > javaHeader; framed {
			w.from = &snappy{packed: packed[javaHeader:], framed: true}
		}
	case kgo.CodecLz4:
		from := lz4s.Get().(*lz4.Reader)
		from.Reset(bytes.NewReader(packed))
		w.from, w.done = from, func() { lz4s.Put(from) }
	case kgo.CodecZstd:
		from := zstds.Get().(*zstd.Decoder)
		if err := from.Reset(bytes.NewReader(packed)); err != nil {
			zstds.Put(from)
			return nil, err
		}
		w.from, w.done = from, func() {
			_ = from.Reset(nil) // lets go of the bytes
			zstds.Put(from)
		}
	default:
		return nil, fmt.Errorf("codec %d is not known", codec)
	}
	return w, nil
}

var (
	lz4s  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstds = sync.Pool{New: func() any {
		from, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(MostRecord))
		if err != nil {
			panic(err) // these options are right
		}
		return from
	}}
)

func (w *window) close() { w.done() }

// ahead are the next bytes: n of them, or fewer at the end.
func (w *window) ahead(n int) ([]byte, error) {
	for len(w.rest) < n && w.from != nil {
		if err := w.more(n); err != nil {
			return nil, err
		}
	}
	return w.rest[:min(n, len(w.rest))], nil
}

// more unpacks into new memory, as much as there is behind a claim of n bytes: about twice
// of what has come so far.
func (w *window) more(n int) error {
	if n > MostRecord {
		return &TooMuchError{"bytes in a record", MostRecord}
	}
	if n > largeBytes {
		w.large()
	}
	fresh := make([]byte, max(min(n, 2*len(w.rest)), pieceBytes))
	had := copy(fresh, w.rest)
	for had < len(fresh) {
		got, err := w.from.Read(fresh[had:])
		had += got
		if w.left -= got; w.left < 0 {
			return &TooMuchError{"bytes", MostUnpacked}
		}
		if errors.Is(err, io.EOF) {
			w.from = nil
			break
		}
		if err != nil {
			return err
		}
	}
	w.rest = fresh[:had:had]
	return nil
}

// take moves past bytes that were ahead.
func (w *window) take(n int) { w.rest = w.rest[n:] }

// javaFrame begins what Java's snappy writes: blocks, each behind its size.
var javaFrame = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const javaHeader = 16

// snappy reads one block, or a row of framed ones.
type snappy struct {
	packed []byte
	framed bool
	block  []byte
}

// Read unpacks block by block.
func (s *snappy) Read(into []byte) (int, error) {
	for len(s.block) == 0 {
		if len(s.packed) == 0 {
			return 0, io.EOF
		}
		packed := s.packed
		s.packed = nil
		if s.framed {
			if len(packed) < 4 {
				return 0, errors.New("snappy: a block's size is cut short")
			}
			size := int64(binary.BigEndian.Uint32(packed))
			if packed = packed[4:]; size > int64(len(packed)) {
				return 0, errors.New("snappy: a block is cut short")
			}
			packed, s.packed = packed[:size], packed[size:]
		}
		claims, err := s2.DecodedLen(packed)
		if err != nil {
			return 0, err
		}
		if claims > MostRecord {
			return 0, &TooMuchError{"bytes in a block of snappy", MostRecord}
		}
		// A copy of 64 bytes takes 3: a size that cannot be behind it is a lie, and must not become memory.
		if claims > 24*len(packed)+64 {
			return 0, fmt.Errorf("snappy: a block of %d bytes claims to hold %d", len(packed), claims)
		}
		if s.block, err = s2.Decode(nil, packed); err != nil {
			return 0, err
		}
	}
	n := copy(into, s.block)
	s.block = s.block[n:]
	return n, nil
}

// Decompressor unpacks batches for a client of franz-go, which takes each whole: not more
// than [MostRecord] bytes, nor so many records or headers that they would take more memory
// than such a record.
type Decompressor struct{}

// Decompress implements kgo.Decompressor.
func (Decompressor) Decompress(packed []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	w, err := unpacked(packed, codec)
	if err != nil {
		return nil, err
	}
	defer w.close()
	for size := min(pieceBytes, MostRecord); ; size = min(2*size, MostRecord) {
		all, err := w.ahead(size)
		switch {
		case err != nil:
			return nil, err
		case len(all) < size:
			return all, affordable(all)
		case size == MostRecord:
			return nil, &TooMuchError{"bytes", MostRecord}
		}
	}
}

// recordTakes: memory that a record and a header take beside what they hold.
const recordTakes, headerTakes = 250, 80

// affordable refuses a row of records that takes much more memory than its bytes. What is
// no such row, such as messages of the old formats, is the reader's to refuse.
func affordable(row []byte) error {
	takes := 0
	for len(row) > 0 {
		length, n := binary.Varint(row)
		if n <= 0 || length < 0 || length > int64(len(row)-n) {
			return nil
		}
		one := row[n : n+int(length)]
		takes += recordTakes + headerTakes*int(min(max(headers(one), 0), MostRecord))
		if row = row[n+int(length):]; takes > 2*MostRecord {
			return &TooMuchError{"records and headers for the memory they take", 2 * MostRecord}
		}
	}
	return nil
}
