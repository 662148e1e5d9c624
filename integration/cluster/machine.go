package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// What test processes of one machine share: ports, and the cores that a
// starting broker wants. Both are settled by locks on files in one folder.

func locks() (folder string, err error) {
	folder = filepath.Join(os.TempDir(), fmt.Sprintf("replicator-locks-%d", os.Getuid()))
	return folder, os.MkdirAll(folder, 0o755)
}

const turnWithin = 10 * time.Minute

// waitTurn waits until fewer clusters are starting on this machine than it has
// cores (but two always may: a pair starts at once). A start is mostly CPU, and
// many at once would all be late. Closing the file ends the turn.
func waitTurn() (*os.File, error) {
	folder, err := locks()
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(turnWithin)
	defer late.Stop()
	for {
		for slot := range max(2, runtime.NumCPU()) {
			lock, err := tryLock(filepath.Join(folder, fmt.Sprintf("start-%d", slot)))
			if err == nil {
				return lock, nil
			}
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, err
			}
		}
		select {
		case <-tick.C:
		case <-late.C:
			return nil, fmt.Errorf("other brokers have been starting for %v; locks in %s", turnWithin, folder)
		}
	}
}

// Ports are taken from below the range that systems use for outgoing
// connections. From inside it, a client that dials a stopped broker could be
// given the broker's own port and hold it.
const firstPort, lastPort = 20000, 31999

// ports are numbers nobody else listens on, locked against other test processes.
type ports struct {
	number []int
	locks  []*os.File
}

func reserve(n int) (*ports, error) {
	folder, err := locks()
	if err != nil {
		return nil, err
	}
	p := &ports{}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		lock, err := tryLock(filepath.Join(folder, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			lock.Close()
			continue
		}
		l.Close()
		p.number, p.locks = append(p.number, port), append(p.locks, lock)
		if len(p.number) == n {
			return p, nil
		}
	}
	p.release()
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
}

func (p *ports) release() {
	for _, l := range p.locks {
		l.Close() // the empty file stays: to remove it could free a number that another process has just taken
	}
	p.locks = nil
}
