package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/testcontainers/testcontainers-go"
)

const (
	defaultImage = "apache/kafka"
	imageLibs    = "/opt/kafka/libs" // in apache/kafka and in integration/kafka's image alike
	imageArchive = "/opt/kafka/classes.jsa"
	imageConfig  = "/etc/replicator-kafka"
	imageData    = "/tmp/replicator-kafka"

	engineWithin = 30 * time.Second // for one answer of the engine
	pullWithin   = 5 * time.Minute
)

// docker runs brokers as containers through testcontainers. Image and command
// are kept apart: whatever the image would start by itself, it is given a
// server.properties and a start command of ours, so that every image with the
// jars in /opt/kafka/libs and a java in its PATH will do.
type docker struct{}

func (docker) name() string { return "docker" }

// engine is the Docker engine, looked for once per process.
var engine = sync.OnceValues(func() (_ *testcontainers.DockerProvider, err error) {
	defer func() { // testcontainers panics where it finds no engine at all
		if p := recover(); p != nil {
			err = fmt.Errorf("no Docker engine: %v", p)
		}
	}()
	e, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	return e, e.Health(ctx)
})

// image is the image of a version. REPLICATOR_KAFKA_IMAGE names the one of the
// default version; other versions are the same repository with another tag.
func image(version string) string {
	name := os.Getenv("REPLICATOR_KAFKA_IMAGE")
	if name == "" {
		return defaultImage + ":" + version
	}
	if version == DefaultVersion {
		return name
	}
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	return name + ":" + version
}

func (docker) check(version string) error {
	e, err := engine()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pullWithin)
	defer cancel()
	name := image(version)
	if _, err := e.Client().ImageInspect(ctx, name); err == nil {
		return nil
	} else if !errdefs.IsNotFound(err) {
		return fmt.Errorf("image %s: %w", name, err)
	}
	if err := e.PullImage(ctx, name); err != nil {
		return fmt.Errorf("pull image %s: %w", name, err)
	}
	return nil
}

// create makes one more container than there are brokers. It holds the network that
// they share, so that what they are told as each other's address, 127.0.0.1 and a
// port, is the same for clients outside, and stays when any of them ends.
func (d docker) create(specs []*spec, homes []*home) ([]node, error) {
	e, err := engine()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(3+len(specs))*engineWithin)
	defer cancel()
	host, err := e.DaemonHost(ctx)
	if err != nil {
		return nil, err
	}
	bind := "127.0.0.1:"
	switch ip := net.ParseIP(host); {
	case host == "localhost":
		host = "127.0.0.1" // clients that try ::1 first would find nobody there
	case ip == nil || !ip.IsLoopback():
		bind = "" // the engine is another machine
	}
	var publish []string
	for _, s := range specs {
		s.host = host
		for _, port := range s.clientPorts() {
			publish = append(publish, fmt.Sprintf("%s%d:%d/tcp", bind, port, port))
		}
	}
	network, err := d.container(ctx, e, homes[0], testcontainers.ContainerRequest{
		Image: image(specs[0].version), Labels: labels(specs[0]), ExposedPorts: publish,
		Entrypoint: []string{"tail", "-f", "/dev/null"},
	})
	if err != nil {
		return nil, err
	}
	if err := e.Client().ContainerStart(ctx, network, container.StartOptions{}); err != nil {
		return nil, errors.Join(err, removeContainer(e.Client(), network))
	}
	var made []node
	for i, s := range specs {
		n, err := d.createOne(ctx, e, s, homes[i], network)
		if err != nil {
			return made, errors.Join(err, removeContainer(e.Client(), network))
		}
		made = append(made, n)
	}
	return made, nil
}

func (d docker) createOne(
	ctx context.Context, e *testcontainers.DockerProvider, s *spec, h *home, network string,
) (node, error) {
	name, content, _ := s.logging(imageConfig)
	id, err := d.container(ctx, e, h, testcontainers.ContainerRequest{
		Image: image(s.version), Labels: labels(s),
		Entrypoint: []string{"sh", "-c", s.script()},
		Files: []testcontainers.ContainerFile{
			file(name, content), file("server.properties", s.properties(imageData, "0.0.0.0")),
		},
		HostConfigModifier: func(c *container.HostConfig) { c.NetworkMode = container.NetworkMode("container:" + network) },
	})
	if err != nil {
		return nil, err
	}
	return &dockerNode{client: e.Client(), id: id, network: network}, nil
}

// container makes a container that goes with a home, or none.
func (docker) container(
	ctx context.Context, e *testcontainers.DockerProvider, h *home, request testcontainers.ContainerRequest,
) (id string, err error) {
	made, err := e.CreateContainer(ctx, request)
	if made == nil {
		return "", err
	}
	id = made.GetContainerID()
	if err := errors.Join(err, h.add(id)); err != nil {
		return "", errors.Join(err, removeContainer(e.Client(), id))
	}
	return id, nil
}

func labels(s *spec) map[string]string { return map[string]string{"replicator.cluster": s.name} }

// clientPorts are those that clients connect to.
func (s *spec) clientPorts() []int {
	all := []int{s.port}
	if s.secure != "" {
		all = append(all, s.securePort)
	}
	if s.through != "" {
		all = append(all, s.behindPort)
	}
	return all
}

func file(name, content string) testcontainers.ContainerFile {
	return testcontainers.ContainerFile{
		Reader: strings.NewReader(content), ContainerFilePath: imageConfig + "/" + name, FileMode: 0o644,
	}
}

// script formats the data at the first start only, then becomes the broker, so
// that signals reach it. An image may bring an archive of the broker's classes.
func (s *spec) script() string {
	return fmt.Sprintf(`[ -f %s/meta.properties ] || java %s || exit 1
[ -f %s ] && archive="-XX:SharedArchiveFile=%s -Xshare:auto"
exec java $archive %s`, imageData, quote(s.formatArgs(imageLibs, imageConfig)), imageArchive, imageArchive,
		quote(s.brokerArgs(imageLibs, imageConfig)))
}

// quote writes arguments for sh, none of which it may touch.
func quote(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

type dockerNode struct {
	client  client.APIClient
	id      string
	network string // the container whose network this one and its cluster's others share
}

func (n *dockerNode) start() (<-chan struct{}, error) {
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	if err := n.client.ContainerStart(ctx, n.id, container.StartOptions{}); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	ended, failed := n.client.ContainerWait(context.Background(), n.id, container.WaitConditionNotRunning)
	go func() {
		defer close(exited)
		select { // a broken connection to the engine counts as ended: nothing can be done with it any more
		case <-ended:
		case <-failed:
		}
	}()
	return exited, nil
}

func (n *dockerNode) signal(sig signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	return n.client.ContainerKill(ctx, n.id, "SIG"+string(sig))
}

func (n *dockerNode) logs() string {
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	from, err := n.client.ContainerLogs(ctx, n.id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return err.Error()
	}
	defer from.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, from); err != nil {
		fmt.Fprintf(&text, "\n(the rest of the log could not be read: %v)\n", err)
	}
	return text.String()
}

// remove takes the network along: only the brokers of a cluster as a whole are removed.
func (n *dockerNode) remove() error {
	return errors.Join(removeContainer(n.client, n.id), removeContainer(n.client, n.network))
}

func removeContainer(c client.APIClient, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), engineWithin)
	defer cancel()
	err := c.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// forget removes a container that another, dead test process has made.
func (docker) forget(id string) error {
	e, err := engine()
	if err != nil {
		return err
	}
	return removeContainer(e.Client(), id)
}
