package replay

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// File is a file of records to be. It has its name only once it is whole and on the disk, and replaces nothing.
type File struct {
	path string
	file *os.File // beside its place
	out  *bufio.Writer
	sum  hash.Hash
	text []byte
}

// Create begins a file, after a look whether its name is free.
func Create(path string) (*File, error) {
	if err := free(path); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return nil, err
	}
	f := &File{path: path, file: file, sum: sha256.New()}
	f.out = bufio.NewWriterSize(io.MultiWriter(file, f.sum), 1<<20)
	return f, nil
}

// free refuses a name that something has.
func free(path string) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return &kafka.Problem{What: path + " exists, and no file is overwritten",
		Fix: "name another file, or move that one away"}
}

// Write adds a record; the offset is the one that it has, the topic the one that it is to go to.
func (f *File) Write(r *kgo.Record, times wire.Times) error {
	f.text = appendLine(f.text[:0], r, times)
	_, err := f.out.Write(f.text)
	return err
}

// Keep puts the file in its place, and answers its SHA-256.
func (f *File) Keep() (digest string, err error) {
	err = errors.Join(f.out.Flush(), f.file.Chmod(0o600), f.file.Sync(), f.file.Close())
	if err == nil {
		err = free(f.path) // something may have taken it meanwhile
	}
	if err == nil {
		err = os.Rename(f.file.Name(), f.path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(f.path))
	}
	return hex.EncodeToString(f.sum.Sum(nil)), err
}

// syncFolder makes a new name last.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Drop removes what was not put in place; it may be called in any case.
func (f *File) Drop() {
	_ = f.file.Close()           // closed before, unless something failed
	_ = os.Remove(f.file.Name()) // gone once it is in place
}

// lineMost bounds a line: no record that a client takes is as large.
const lineMost = 1 << 30

// readLines hands over each record with its line number, from 1, and answers the SHA-256 of the file.
func readLines(file io.Reader, name string, give func(line int64, r *kgo.Record) error) (digest string, err error) {
	sum := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(file, sum), 1<<20)
	var text []byte
	for number := int64(1); ; number++ {
		text, err = readLine(in, text[:0])
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
		var r *kgo.Record
		if err == nil {
			r, err = parseLine(text)
		}
		if err != nil {
			return "", &kafka.Problem{What: fmt.Sprintf("%s, line %d: %v", name, number, err),
				Fix: "see docs/FORMATS.md, and where the file comes from: nothing is written before all of it can be read"}
		}
		if err := give(number, r); err != nil {
			return "", err
		}
	}
}

// readLine reads a line without its end; io.EOF where none is left.
func readLine(in *bufio.Reader, into []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		into = append(into, part...)
		switch {
		case len(into) > lineMost:
			return nil, fmt.Errorf("it is longer than %d bytes", lineMost)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(into) > 0, err == nil:
			return into, nil
		default:
			return nil, err
		}
	}
}
