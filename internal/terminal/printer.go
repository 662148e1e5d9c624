package terminal

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Printer writes lines and keeps the first error.
type Printer struct {
	w   io.Writer
	err error
}

// NewPrinter makes one that writes to w.
func NewPrinter(w io.Writer) *Printer { return &Printer{w: w} }

// Err is the first error of writing.
func (p *Printer) Err() error { return p.err }

// Text prints lines that are rendered already.
func (p *Printer) Text(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, text)
	}
}

// Line prints one.
func (p *Printer) Line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// Wrapped prints one that is broken between words where it is too long; what follows is indented.
func (p *Printer) Wrapped(indent, format string, args ...any) {
	p.Line("%s", Wrap(fmt.Sprintf(format, args...), indent))
}

// Note prints a fact and its remedy, wrapped.
func (p *Printer) Note(fact, remedy string) {
	p.Wrapped("    ", "%s", fact)
	if remedy != "" {
		p.Wrapped("    ", "%s", "    remedy: "+remedy)
	}
}

// Rendered is what a printer prints.
func Rendered(print func(*Printer)) string {
	var out bytes.Buffer
	print(NewPrinter(&out))
	return out.String()
}

// Lines counts those of a text.
func Lines(text string) int { return strings.Count(text, "\n") }
