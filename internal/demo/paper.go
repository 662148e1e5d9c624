package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// paper is what the demonstration writes on: on a terminal with colours and a
// line that shows what is going on, elsewhere plain ASCII.
type paper struct {
	out   io.Writer
	fancy bool
}

// Colours of a terminal, as ECMA-48 numbers them.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
)

func newPaper(out io.Writer) *paper {
	f, isFile := out.(*os.File)
	fancy := isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
	return &paper{out: out, fancy: fancy}
}

func (p *paper) line(text string) { fmt.Fprintln(p.out, text) } // nobody to tell

func (p *paper) paint(colour, text string) string {
	if !p.fancy {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (p *paper) title(text string) {
	p.line(p.paint(bold, text))
	p.line("")
}

// begin shows what is being done; end replaces it by what was.
func (p *paper) begin(step, doing string) {
	if p.fancy {
		fmt.Fprintf(p.out, "\r\x1b[K%s %s", stepName(step), p.paint(faint, doing+" ...")) // as line
	}
}

func (p *paper) end(step, told string) {
	if p.fancy {
		fmt.Fprint(p.out, "\r\x1b[K") // as line
	}
	p.line(stepName(step) + " " + told)
}

// broken leaves the line of a step that failed as it stands.
func (p *paper) broken() {
	if p.fancy {
		p.line("")
	}
}

func stepName(step string) string { return fmt.Sprintf("  %-8s", step) }

func (p *paper) good(text string) {
	p.line("")
	p.line(p.paint(green, text))
}

// print shows source and target side by side, and what the comparison found.
func (v verdict) print(p *paper) {
	p.line("")
	p.line(p.paint(bold, fmt.Sprintf("%-12s%13s%13s%13s%13s%13s", "",
		"records", "log end", mover, "its lag", "to read")))
	p.line(p.paint(faint, fmt.Sprintf("%-12s", "partition")+strings.Repeat(fmt.Sprintf("%7s%6s", "old", "new"), 5)))
	for _, r := range v.rows {
		text := fmt.Sprintf("%-12s%7d%6d%7d%6d%7s%6s%7d%6d%7d%6d", r.partition,
			r.records[0], r.records[1], r.ends[0], r.ends[1], place(r.positions[0]), place(r.positions[1]),
			r.lags[0], r.lags[1], r.toRead[0], r.toRead[1])
		if !r.fine() {
			text = p.paint(red, text+"  <- differs")
		}
		p.line(text)
	}
	p.line("")
	v.finding(p, "records", v.content == difference{} && v.source == difference{}, fmt.Sprintf("%s on old, %s on new: %s",
		grouped(v.records[0]), grouped(v.records[1]), v.content))
	v.finding(p, "aborted", v.abortedThere[1] == 0, fmt.Sprintf("%s records of aborted transactions on old, %s on new",
		grouped(v.abortedThere[0]), grouped(v.abortedThere[1])))
	v.finding(p, mover, v.group == difference{}, fmt.Sprintf("read %s on old, then %s on new: %s",
		grouped(v.parts[0]), grouped(v.parts[1]), v.group.redelivered()))
	v.finding(p, settled, v.settledLeft == 0, fmt.Sprintf("read all of old; its lag there is %d, on new it is %d",
		v.settledLags[0], v.settledLags[1]))
	p.line(p.paint(faint, "  (a lag counts offsets, and so transaction markers and aborted records as well)"))
}

// finding is one line of the result.
func (v verdict) finding(p *paper, name string, fine bool, text string) {
	mark := p.paint(green, "ok")
	if !fine {
		mark = p.paint(red, "!!")
	}
	p.line(fmt.Sprintf("  %s  %-8s %s", mark, name, text))
}

func place(position int64) string {
	if position < 0 {
		return "-"
	}
	return fmt.Sprint(position)
}

// grouped writes a number with a comma between thousands.
func grouped(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
