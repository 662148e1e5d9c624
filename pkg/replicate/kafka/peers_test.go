package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// peer listens and does something other than a broker with each connection.
func peer(t *testing.T, does func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				does(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// asked reads one request, and gives its key, version and correlation id.
func asked(conn net.Conn) (key, version int16, id uint32, ok bool) {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return 0, 0, 0, false
	}
	request := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, request); err != nil || len(request) < 8 {
		return 0, 0, 0, false
	}
	return int16(binary.BigEndian.Uint16(request)), int16(binary.BigEndian.Uint16(request[2:])),
		binary.BigEndian.Uint32(request[4:]), true
}

// answering answers each request with the bytes that follow the correlation id.
func answering(answer func(key, version int16) []byte) func(net.Conn) {
	return func(conn net.Conn) {
		for {
			key, version, id, ok := asked(conn)
			if !ok {
				return
			}
			body := answer(key, version)
			whole := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
			whole = binary.BigEndian.AppendUint32(whole, id)
			if _, err := conn.Write(append(whole, body...)); err != nil {
				return
			}
		}
	}
}

// knowing answers as a broker that knows Metadata 1 alone, with what it is told to.
func knowing(metadata func() []byte) func(key, version int16) []byte {
	return func(key, version int16) []byte {
		if kmsg.Key(key) == kmsg.ApiVersions {
			if version > 0 { // as a broker that does not know it: version 0, and an error
				return append(binary.BigEndian.AppendUint16(nil, 35), 0, 0, 0, 1, 0, 18, 0, 0, 0, 0)
			}
			return []byte{0, 0, 0, 0, 0, 2, 0, 18, 0, 0, 0, 0, 0, 3, 0, 1, 0, 1}
		}
		return metadata()
	}
}

// brokersAt is a Metadata answer of version 1 with one broker.
func brokersAt(host string, port, topics int32) []byte {
	b := binary.BigEndian.AppendUint32(nil, 1)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(host)))
	b = append(b, host...)
	b = binary.BigEndian.AppendUint32(b, uint32(port))
	b = append(b, 0xff, 0xff) // no rack
	b = binary.BigEndian.AppendUint32(b, 1)
	return binary.BigEndian.AppendUint32(b, uint32(topics))
}

// Whatever is behind an address, both libraries come back with an error that tells what
// to do, in time, and take little memory for what it claims.
func TestBrokenPeers(t *testing.T) {
	silent := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	says := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = conn.Write([]byte(text))
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	first := func(text string) func(net.Conn) { // once it was asked something
		return func(conn net.Conn) {
			if _, _, _, ok := asked(conn); ok {
				_, _ = conn.Write([]byte(text))
			}
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	noise := func(int16, int16) []byte { return []byte("\xfe\xed\xfa\xce\xca\xfe\xba\xbe\xfe\xed") }
	for why, does := range map[string]func(net.Conn){
		"closes at once":           func(net.Conn) {},
		"closes when it is asked":  func(conn net.Conn) { _, _, _, _ = asked(conn) },
		"says nothing":             silent,
		"speaks HTTP":              first("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
		"speaks SSH":               says("SSH-2.0-OpenSSH_9.2\r\n"),
		"speaks TLS":               first("\x15\x03\x03\x00\x02\x02\x46"),
		"claims two gigabytes":     first("\x7f\xff\xff\xff\x00\x00\x00\x01"),
		"claims a negative size":   first("\xff\xff\xff\xff\x00\x00\x00\x01"),
		"answers another question": first("\x00\x00\x00\x08\x7f\x7f\x7f\x7f\x00\x00\x00\x00"),
		"cuts its answer short":    answering(func(int16, int16) []byte { return []byte{0} }),
		"answers with noise":       answering(noise),
		"knows no request": answering(func(_, version int16) []byte {
			if version < 3 {
				return []byte{0, 0, 0, 0, 0, 0}
			}
			// A null list, length 0, ends the process: docs/decisions/030-silences-and-ends-of-librdkafka.md.
			return []byte{0, 0, 1, 0, 0, 0, 0, 0}
		}),
		"names a broker that is nowhere": answering(knowing(func() []byte { return brokersAt("", -1, 0) })),
		"claims very many topics":        answering(knowing(func() []byte { return brokersAt("h", 1, 0x7fffffff) })),
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			c := Config{Name: "old", Properties: map[string]string{"bootstrap.servers": peer(t, does),
				"socket.timeout.ms": "1000", "log_level": "0"}}
			c.Logger = (&logged{}).logger()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			client, err := NewFranz(c, kgo.RetryTimeout(2*time.Second), kgo.MetadataMinAge(10*time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			request := MetadataRequest([]string{"orders"})
			response, err := request.RequestWith(seconds(t, 20), client)
			runtime.ReadMemStats(&after)
			if err == nil && (len(response.Topics) > 0 || why != "names a broker that is nowhere") {
				t.Errorf("franz-go: an answer came: %+v", response)
			}
			var explained interface{ Remedy() string }
			if err != nil && (!errors.As(c.Explain(err), &explained) || explained.Remedy() == "") {
				t.Errorf("franz-go: %v has no remedy", c.Explain(err))
			}
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 256 { // of all peers together
				t.Errorf("%d MiB were taken", took)
			}
			handle, err := NewConsumer(c, map[string]any{"group.id": "g"})
			if err != nil {
				t.Fatal(err)
			}
			defer handle.Close()
			if metadata, err := handle.GetMetadata(nil, true, fails*1000); err == nil && len(metadata.Topics) > 0 {
				t.Errorf("librdkafka: an answer came: %+v", metadata)
			} else if err != nil && why != "knows no request" && !errors.As(c.Explain(err), &explained) {
				t.Errorf("librdkafka: %v has no remedy", c.Explain(err))
			}
		})
	}
}
