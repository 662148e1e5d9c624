// Package proof keeps the report of a verification in a file, as the proof of a migration.
//
// A [File] is written beside its place and put there when it is whole; only a name that is new, or a regular file, is
// such a place. A report that is there already is only replaced by one that says no less: about the same flows, topics
// and clusters, with no worse verdict. Else it stays, and the new one gets a name beside it.
//
// A report that is signed has its signature in a file beside it, and is only replaced by one that is signed as well;
// [Check] says whether it still is what was signed.
package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"replicator/internal/answers"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/verify"
)

// Report is what is going to be verified, and where the report of it is to be.
type Report struct {
	Path      string
	Overwrite bool     // whatever is there is replaced
	Key       *Key     // nil: it is not signed
	Flows     []string // by name
	verify.Filters
}

// File is a report to be.
type File struct {
	Report
	file *os.File          // where it is written meanwhile
	old  *answers.Verified // what is there already; nil: nothing that counts
}

// Open makes sure, before the work begins, that a report can be written and may be.
func Open(r Report) (*File, error) {
	p := &File{Report: r}
	err := p.place()
	if err == nil && p.old != nil {
		err = p.narrower()
	}
	return p.begin(err)
}

// begin opens where the report is written meanwhile, unless its place is refused.
func (p *File) begin(refused error) (*File, error) {
	err := refused
	if err == nil && p.Key != nil {
		err = p.placeOfSignature()
	}
	if err != nil {
		return nil, err
	}
	p.file, err = os.CreateTemp(filepath.Dir(p.Path), filepath.Base(p.Path)+".*")
	return p, err
}

// placeError is a name that no report can have.
type placeError struct{ what, remedy string }

func (e *placeError) Error() string { return e.what }

// Remedy tells what to do.
func (e *placeError) Remedy() string { return e.remedy }

// place looks at what has the report's name.
func (p *File) place() error {
	size, err := regular(p.Path)
	if err != nil || p.Overwrite || size == 0 {
		return err
	}
	text, err := os.ReadFile(p.Path)
	if err != nil {
		return err
	}
	var old answers.Verified
	if json.Unmarshal(text, &old) != nil || len(old.Flows)+len(old.Failed) == 0 {
		return &placeError{p.Path + " is no report of verify, and is left as it is",
			"give another name, or --overwrite to replace it"}
	}
	p.old = &old
	return nil
}

// regular is the size of a regular file; 0 if nothing has that name.
func regular(path string) (int64, error) {
	at, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	case !at.Mode().IsRegular():
		return 0, &placeError{fmt.Sprintf("%s is %s, and is left as it is", path, kindOfFile(at.Mode())),
			"name a regular file, or a name that is not taken; --json prints the report"}
	}
	return at.Size(), nil
}

// placeOfSignature looks at what has the signature's name.
func (p *File) placeOfSignature() error {
	size, err := regular(SignatureOf(p.Path))
	if err != nil || p.Overwrite || size == 0 || size == ed25519.SignatureSize {
		return err
	}
	return &placeError{SignatureOf(p.Path) + " is no signature of a report, and is left as it is",
		"give the report another name, or --overwrite to replace it"}
}

func kindOfFile(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "no regular file"
}

// narrower refuses, before the work begins, to replace a report about more.
func (p *File) narrower() error {
	refuse := func(format string, args ...any) error {
		return &placeError{fmt.Sprintf("%s is kept: %s", p.Path, fmt.Sprintf(format, args...)),
			"give another name, or --overwrite to replace it"}
	}
	if p.Key == nil && p.old.SignedBy != "" {
		return refuse("it is signed, and this one would not be")
	}
	for _, v := range p.old.Flows {
		switch {
		case !slices.Contains(p.Flows, v.Flow):
			return refuse("it is about flow %s as well", v.Flow)
		case p.Topics != "" && p.Topics != v.Filters.Topics:
			return refuse("it is about more topics of flow %s than --topics %q", v.Flow, p.Topics)
		case p.Since != "" && p.Since != v.Filters.Since:
			return refuse("it is about more of flow %s than --since %s", v.Flow, p.Since)
		}
	}
	return nil
}

// rank orders verdicts by what they prove.
var rank = map[verify.Verdict]int{verify.Incomplete: 0, verify.Different: 1, verify.Equal: 2}

// worse says why a report does not replace the one that is there; "": it does.
func (p *File) worse(all answers.Verified) string {
	if p.old == nil {
		return ""
	}
	for _, before := range p.old.Flows {
		var now *verify.Report
		for _, v := range all.Flows {
			if v.Flow == before.Flow {
				now = v
			}
		}
		switch {
		case now == nil:
			return fmt.Sprintf("flow %s could not be looked at this time", before.Flow)
		case now.Source.ID != before.Source.ID || now.Target.ID != before.Target.ID:
			return fmt.Sprintf("it is about other clusters: %s and %s", before.Source.ID, before.Target.ID)
		case rank[now.Verdict] < rank[before.Verdict]:
			return fmt.Sprintf("flow %s was %s then, and is %s now", before.Flow, before.Verdict, now.Verdict)
		}
		for _, one := range before.Partitions {
			gone := func(l inspect.LeftOut) bool { return l.Name == one.Topic }
			if slices.ContainsFunc(now.NotCompared, gone) {
				return fmt.Sprintf("topic %s of flow %s was compared then, and is not now", one.Topic, before.Flow)
			}
		}
	}
	return ""
}

// keptError is a report that did not replace another one.
type keptError struct{ path, why, beside string }

func (e *keptError) Error() string {
	text := fmt.Sprintf("%s is kept: %s", e.path, e.why)
	if e.beside != "" {
		text += "; the report of now is " + e.beside
	}
	return text
}

// Remedy tells what to do.
func (e *keptError) Remedy() string {
	return "look at both; --overwrite replaces the one that was kept"
}

// Keep writes the report and puts it in place, or beside it; nil keeps nothing.
func (p *File) Keep(all answers.Verified) error {
	if p == nil {
		return nil
	}
	place, why := p.Path, p.worse(all)
	if why != "" {
		if len(all.Flows) == 0 { // it would say nothing
			return &keptError{p.Path, why, ""}
		}
		place = p.Path + time.Now().UTC().Format(".20060102T150405.000Z")
	} else if err := p.place(); err != nil { // it may be something else by now
		return err
	}
	all.SignedBy = p.Key.ID()
	if err := p.put(place, all); err != nil || why == "" {
		return err
	}
	return &keptError{p.Path, why, place}
}

// put writes the report, signs it, and gives both their names. The former signature goes first: a report is without one
// for a moment, rather than with that of another.
func (p *File) put(place string, document any) error {
	var text bytes.Buffer
	err := answers.Print(&text, document, true)
	if err == nil {
		err = written(p.file, text.Bytes())
	}
	if err != nil {
		return err
	}
	if p.Key == nil {
		return os.Rename(p.file.Name(), place)
	}
	signature, err := os.CreateTemp(filepath.Dir(place), filepath.Base(SignatureOf(place))+".*")
	if err != nil {
		return err
	}
	defer os.Remove(signature.Name()) // gone once it is in place
	if err := written(signature, ed25519.Sign(p.Key.private, text.Bytes())); err != nil {
		return err
	}
	if err := os.Remove(SignatureOf(place)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(p.file.Name(), place); err != nil {
		return err
	}
	return os.Rename(signature.Name(), SignatureOf(place))
}

// written writes a file as a whole.
func written(file *os.File, text []byte) error {
	_, err := file.Write(text)
	return errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
}

// Drop removes what was not put in place.
func (p *File) Drop() {
	if p == nil {
		return
	}
	_ = p.file.Close()           // closed before, unless something failed
	_ = os.Remove(p.file.Name()) // gone once it is in place
}
