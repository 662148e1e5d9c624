package kafkatest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// OnDisk starts a cluster that can be put back to what it was: Save copies what it holds,
// and Restore puts the copy back. The cluster stops for that, and starts again at the
// same address.
func OnDisk(t testing.TB, opts ...kfake.Opt) *Cluster {
	t.Helper()
	dir := t.TempDir()
	c := Start(t, append([]kfake.Opt{kfake.DataDir(dir)}, opts...)...)
	c.dir = dir
	var ports []int
	for _, address := range c.ListenAddrs() {
		_, port, err := net.SplitHostPort(address)
		c.must("find the port", err)
		number, err := strconv.Atoi(port)
		c.must("find the port", err)
		ports = append(ports, number)
	}
	c.opts = append(c.opts, kfake.Ports(ports...))
	return c
}

// Saved is a copy of what a cluster on disk held.
type Saved struct{ place, copied string }

// Save copies everything that the cluster holds.
func (c *Cluster) Save() Saved {
	c.t.Helper()
	return c.save(c.dir)
}

// SaveLog copies one partition's log.
func (c *Cluster) SaveLog(topic string, partition int32) Saved {
	c.t.Helper()
	return c.save(filepath.Join(c.dir, "partitions", fmt.Sprintf("%s-%d", topic, partition)))
}

// Restore puts a copy in the place of what it was made of, and gives what stood there.
func (c *Cluster) Restore(with Saved) (was Saved) {
	c.t.Helper()
	c.Close()
	was = c.copyOf(with.place)
	c.must("remove", os.RemoveAll(with.place))
	c.must("put the copy back", os.CopyFS(with.place, os.DirFS(with.copied)))
	c.start()
	return was
}

func (c *Cluster) save(place string) Saved {
	c.t.Helper()
	c.Close()
	saved := c.copyOf(place)
	c.start()
	return saved
}

func (c *Cluster) copyOf(place string) Saved {
	c.t.Helper()
	s := Saved{place: place, copied: c.t.TempDir()}
	c.must("copy", os.CopyFS(s.copied, os.DirFS(s.place)))
	return s
}
