package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	packing "github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// bomb is a batch with one record of so many zeros, in some kilobytes of zstd.
func bomb(t *testing.T, zeros int) []byte {
	t.Helper()
	inside := append([]byte{0}, binary.AppendVarint(nil, 0)...) // attributes, age
	for _, number := range []int64{0, -1, int64(zeros)} {       // offset, no key, value
		inside = binary.AppendVarint(inside, number)
	}
	begins := append(binary.AppendVarint(nil, int64(len(inside)+zeros+1)), inside...)
	var packed bytes.Buffer
	w, err := packing.NewWriter(&packed, packing.WithEncoderConcurrency(1))
	must(t, err)
	_, err = w.Write(begins)
	must(t, err)
	piece := make([]byte, 1<<20)
	for left := zeros + 1; left > 0; left -= len(piece) { // and no headers
		_, err := w.Write(piece[:min(left, len(piece))])
		must(t, err)
	}
	must(t, w.Close())
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(kgo.CodecZstd), FirstTimestamp: now,
		MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: packed.Bytes()}
	const frame, checked = 12, 21
	b.Length = int32(len(b.AppendTo(nil)) - frame)
	whole := b.AppendTo(nil)
	binary.BigEndian.PutUint32(whole[checked-4:], crc32.Checksum(whole[checked:], crc32.MakeTable(crc32.Castagnoli)))
	return whole
}

// peak is the most memory that a process has had, in MiB.
func peak(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, after, found := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(after + " x")[0])
	if !found || err != nil {
		t.Fatalf("no peak in\n%s", text)
	}
	return kib >> 10
}

// A batch of some kilobytes that unpacks to 400 MB stops its partition, in either lane,
// and takes no memory that others would miss; verify says that it cannot read it.
func TestBomb(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no system with /proc")
	}
	source, target := cluster.SharedPair(t)
	const most = 400 // MiB
	onLanes(t, func(t *testing.T, lane string) {
		ctx := deadline(t, 3*time.Minute)
		hostile, other := unique(t)+"-hostile", unique(t)+"-other"
		must(t, workload.Topics(ctx, source.Bootstrap(), 1, map[string]string{"message.timestamp.type": "LogAppendTime"},
			hostile))
		must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), other))
		mixed(ctx, t, source.Bootstrap(), other, 600, 300, 2)
		b := bomb(t, 400<<20)
		talk := newTalker(ctx, t, source.Bootstrap(), kgo.MaxVersions(namesTopics()))
		good := batchOf(3, time.Now()).bytes(t)
		for _, batch := range [][]byte{good, b, good} {
			if said := talk.produce(nil, hostile, 0, batch)[0]; said.ErrorCode != 0 {
				t.Fatalf("the broker refuses %d bytes: %+v", len(batch), said)
			}
		}
		s := newSite(t, source, target, "topics: ["+unique(t)+"-.*]", "groups: []", "shards: 2", "lane: "+lane)
		d := s.run()
		eventually(t, time.Minute, "the hostile partition stops", func() bool {
			seen, _ := s.status()
			at := seen.of(hostile, 0)
			return at.State == "stopped" && strings.Contains(at.Reason, "cannot be read on from offset 3")
		})
		judged(ctx, t, s.sides(), []string{other}, nil)
		took := peak(t, d.cmd.Process.Pid)
		d.stop()
		verify := exec.Command(s.binary, "verify", "-c", s.path)
		out, err := verify.CombinedOutput()
		if err == nil || !holds(string(out), hostile) {
			t.Errorf("verify says %v:\n%s", err, out)
		}
		looked := int(verify.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) >> 10
		t.Logf("%d bytes: the daemon took %d MiB, verify %d MiB", len(b), took, looked)
		if took > most || looked > most {
			t.Errorf("more than %d MiB", most)
		}
	})
}
