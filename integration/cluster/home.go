package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	homePrefix = "replicator-kafka-"
	ownerFile  = "owner"      // locked by the process the home belongs to
	thingFile  = "containers" // names those that must go when the home goes, one a line
)

// home is the folder of one broker: configuration, data, log. Its owner file
// is locked for as long as the process lives, so that a later process can tell
// what a killed one left behind.
type home struct {
	path string
	lock *os.File
}

func newHome(s *spec) (*home, error) {
	path, err := os.MkdirTemp("", homePrefix+s.name+"-")
	if err != nil {
		return nil, err
	}
	// Locked before it has its name, so that nobody takes it for abandoned.
	lock, err := tryLock(filepath.Join(path, ownerFile+".new"))
	if err != nil {
		return nil, err
	}
	h := &home{path: path, lock: lock}
	return h, os.Rename(lock.Name(), h.join(ownerFile))
}

func (h *home) join(name string) string { return filepath.Join(h.path, name) }

func (h *home) write(name, content string) error {
	return os.WriteFile(h.join(name), []byte(content), 0o644)
}

// add notes a container that must go with the home.
func (h *home) add(container string) error {
	f, err := os.OpenFile(h.join(thingFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(container + "\n")
	return errors.Join(err, f.Close())
}

// remove deletes the home; kept, only its owner goes, so that it is not taken
// for an abandoned one.
func (h *home) remove(keep bool) error {
	defer h.lock.Close()
	if keep {
		return os.Remove(h.join(ownerFile))
	}
	return os.RemoveAll(h.path)
}

// sweep removes the homes whose owner has died, and the containers they name. A
// home without an owner file is kept on purpose or just being made; one whose
// container p cannot remove waits for a process that can.
func sweep(p provider) error {
	owners, err := filepath.Glob(filepath.Join(os.TempDir(), homePrefix+"*", ownerFile))
	if err != nil {
		return err
	}
	var errs []error
	for _, owner := range owners {
		lock, err := tryLock(owner)
		if err != nil {
			continue // alive, or somebody else's
		}
		errs = append(errs, sweepOne(p, filepath.Dir(owner)))
		lock.Close()
	}
	return errors.Join(errs...)
}

func sweepOne(p provider, path string) error {
	containers, err := os.ReadFile(filepath.Join(path, thingFile))
	if err == nil {
		engine, ok := p.(interface{ forget(id string) error })
		if !ok {
			return nil
		}
		for _, id := range strings.Fields(string(containers)) {
			if err := engine.forget(id); err != nil {
				return fmt.Errorf("container of %s: %w", path, err)
			}
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.RemoveAll(path)
}

// tryLock takes the lock of a file, made if missing, or fails at once. The lock
// goes with the file or the process, whichever ends first.
func tryLock(path string) (*os.File, error) { return lockFile(path, syscall.LOCK_EX|syscall.LOCK_NB) }

// waitLock takes the lock of a file and waits for it.
func waitLock(path string) (*os.File, error) { return lockFile(path, syscall.LOCK_EX) }

func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
