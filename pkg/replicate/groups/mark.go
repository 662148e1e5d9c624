package groups

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"replicator/pkg/offsets"
)

const (
	// markWord opens the metadata of every commit of ours; its digit is the version.
	markWord = "replicator1 "

	// maxFlow is the longest flow name, in bytes, that is written out; with it a mark
	// stays below 200 bytes. Brokers take 4096 (offset.metadata.max.bytes).
	maxFlow = 120
)

// Mark is what we write into the metadata of a commit, as in
// "replicator1 old->new s=42 t=57". It names the target offset too, since an
// application may hand our text back when it commits another offset.
type Mark struct {
	Flow   string
	Source offsets.Source // the position on the source that was translated
	Target offsets.Target // the offset that was committed with it
}

// Format writes the mark, at most 200 bytes. A flow name of more than 120 bytes is
// cut, with a digest of the whole at its end.
func (m Mark) Format() string {
	b := make([]byte, 0, 64)
	b = append(b, markWord...)
	b = append(b, shortFlow(m.Flow)...)
	b = append(b, " s="...)
	b = strconv.AppendInt(b, int64(m.Source), 10)
	b = append(b, " t="...)
	b = strconv.AppendInt(b, int64(m.Target), 10)
	return string(b)
}

// ParseMark reads what Format wrote; false for every other text. A flow name that
// Format cut comes back cut.
func ParseMark(metadata string) (Mark, bool) {
	rest, ok := strings.CutPrefix(metadata, markWord)
	if !ok {
		return Mark{}, false
	}
	rest, target, ok := cutLast(rest, " t=")
	if !ok {
		return Mark{}, false
	}
	flow, source, ok := cutLast(rest, " s=")
	if !ok {
		return Mark{}, false
	}
	m := Mark{Flow: flow, Source: offsets.Source(source), Target: offsets.Target(target)}
	return m, m.Format() == metadata // one spelling only
}

// cutLast splits off the offset behind the last sign.
func cutLast(s, sign string) (before string, offset int64, ok bool) {
	i := strings.LastIndex(s, sign)
	if i < 0 {
		return "", 0, false
	}
	offset, err := strconv.ParseInt(s[i+len(sign):], 10, 64)
	return s[:i], offset, err == nil && offset >= 0
}

// shortFlow bounds a flow's name; what it gives it does not change again.
func shortFlow(flow string) string {
	if len(flow) <= maxFlow {
		return flow
	}
	digest := sha256.Sum256([]byte(flow))
	end := "~" + hex.EncodeToString(digest[:8])
	cut := maxFlow - len(end)
	for cut > 0 && !utf8.RuneStart(flow[cut]) {
		cut--
	}
	return flow[:cut] + end
}
