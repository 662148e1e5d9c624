package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"replicator/pkg/offsets"
)

// CutOrder is an operator's word on a cut, as a note in the ledger.
type CutOrder struct {
	Version   int            `json:"version"` // 1
	Topic     string         `json:"topic"`   // of the source
	Partition int32          `json:"partition"`
	At        offsets.Source `json:"cut"` // of the cut that was looked at
	Copied    offsets.Source `json:"copied"`
	From      offsets.Source `json:"from"` // where copying goes on
	// Skips counts source offsets in [At,From): at most that many records are given up. LostOnly those in
	// [At,Copied): at most that many stay on the target alone.
	Skips    int64     `json:"skips"`
	LostOnly int64     `json:"left"`
	Ordered  time.Time `json:"ordered"` // to the millisecond
	Program  string    `json:"program"` // version that wrote it
}

// orderPrefix begins the names of these notes.
const orderPrefix = "resume/"

// OrderName is the note about the latest cut of a partition: each cut has its own.
func OrderName(k Key, cuts *Cuts) string {
	return fmt.Sprintf("%s%s/%d/%d", orderPrefix, k.Topic, k.Partition.Number, cuts.Count)
}

// OrderOf reads the order about the open cut; nil: there is none.
func OrderOf(book *Shard, k Key, cuts *Cuts) (*CutOrder, error) {
	name := OrderName(k, cuts)
	if book.Note(name) == nil {
		return nil, nil
	}
	order, err := readOrder(book, name)
	var version *VersionError
	if err != nil && !errors.As(err, &version) {
		err = &Damage{Partition: k.Partition, Err: err}
	}
	if err != nil {
		return nil, err
	}
	return order, nil
}

// Orders reads all that a shard has.
func Orders(book *Shard) (list []CutOrder, err error) {
	for _, name := range book.Notes() {
		if !strings.HasPrefix(name, orderPrefix) {
			continue
		}
		order, err := readOrder(book, name)
		if err != nil {
			return nil, err
		}
		list = append(list, *order)
	}
	return list, nil
}

func readOrder(book *Shard, name string) (*CutOrder, error) {
	var order CutOrder
	if err := json.Unmarshal(book.Note(name), &order); err != nil {
		return nil, fmt.Errorf("note %s: %w", name, err)
	}
	if order.Version != 1 {
		return nil, &VersionError{What: "note " + name, Got: byte(order.Version)}
	}
	return &order, nil
}

// Fits says whether the order is about the cut as it is, and a position of the log.
func (o *CutOrder) Fits(cut *Cut, end offsets.Source) bool {
	return o.At == cut.At && o.Copied == cut.Copied && o.From >= cut.At && o.From <= end
}
