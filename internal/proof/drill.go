package proof

import (
	"encoding/json"
	"os"

	"replicator/internal/answers"
)

// DrillFile is the report of drills to be. It is about a moment, and replaces what was said of an earlier one.
type DrillFile struct{ File }

// OpenDrill makes sure, before the drills begin, that their report can be written and may be.
func OpenDrill(r Report) (*DrillFile, error) {
	p := &DrillFile{File{Report: r}}
	if _, err := p.begin(p.place()); err != nil {
		return nil, err
	}
	return p, nil
}

// place looks at what has the report's name.
func (p *DrillFile) place() error {
	size, err := regular(p.Path)
	if err != nil || p.Overwrite || size == 0 {
		return err
	}
	text, err := os.ReadFile(p.Path)
	if err != nil {
		return err
	}
	var old answers.Kept
	switch {
	case json.Unmarshal(text, &old) != nil || len(old.Drills) == 0:
		return &placeError{p.Path + " is no report of drill, and is left as it is",
			"give another name, or --overwrite to replace it"}
	case p.Key == nil && old.SignedBy != "":
		return &placeError{p.Path + " is kept: it is signed, and this one would not be",
			"give --sign, another name, or --overwrite to replace it"}
	}
	return nil
}

// Keep writes the report and puts it in place; nil keeps nothing.
func (p *DrillFile) Keep(all answers.Rehearsed) error {
	if p == nil || len(all.Drills) == 0 { // it would say nothing
		return nil
	}
	if err := p.place(); err != nil { // it may be something else by now
		return err
	}
	all.SignedBy = p.Key.ID()
	return p.put(p.Path, all)
}

// Drop removes what was not put in place.
func (p *DrillFile) Drop() {
	if p != nil {
		p.File.Drop()
	}
}
