package kafka

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"replicator/pkg/replicate/kafka/mask"
)

const serversAccepted = "accepted is host:port, separated by commas"

// Servers are the addresses of bootstrap.servers, each as host:port; what cannot be
// read as one is left out.
func (c Config) Servers() []string {
	var list []string
	for _, server := range strings.Split(c.Properties["bootstrap.servers"], ",") {
		if address, err := readServer(server, c.security().protocol); err == nil {
			list = append(list, address)
		}
	}
	return list
}

// servers are the addresses for a client of either library.
func (c Config) servers() ([]string, error) {
	var list []string
	for _, server := range strings.Split(c.Properties["bootstrap.servers"], ",") {
		address, err := readServer(server, c.security().protocol)
		if err != nil {
			return nil, c.notCarried("bootstrap.servers", "give host:port, separated by commas, and security.protocol "+
				"beside it", "holds %q: %v", mask.URL(strings.TrimSpace(server)), err)
		}
		list = append(list, address)
	}
	return list, nil
}

// schemes are what stands in front of brokers elsewhere, and the security.protocol
// that it means; "" where it does not tell.
var schemes = map[string]string{
	"plaintext": "PLAINTEXT", "ssl": "SSL", "sasl_plaintext": "SASL_PLAINTEXT", "sasl_ssl": "SASL_SSL",
	"kafka": "PLAINTEXT", "kafka+ssl": "SSL",
}

// readServer reads one entry of bootstrap.servers; the port is 9092 unless given.
//
// librdkafka takes a protocol in front for that broker alone, and would speak it there
// and security.protocol to all others; franz-go has no such thing. So one that says
// anything else than security.protocol is refused: dropping it could mean to speak, and
// log in, in plaintext where the operator asked for TLS.
func readServer(server, protocol string) (string, error) {
	server = strings.TrimSpace(server)
	if scheme, after, found := strings.Cut(server, "://"); found {
		scheme = strings.ToLower(scheme)
		means := schemes[scheme]
		switch {
		case scheme == protocol && means != "":
			server = after
		case means != "":
			return "", fmt.Errorf("%s:// in front means security.protocol: %s, which is %s here; write %q, and "+
				"security.protocol: %s beside it, if that is what its port speaks", scheme, means,
				strings.ToUpper(protocol), bare(after), means)
		default:
			return "", fmt.Errorf("it is a URL; write host:port, and say what the port speaks with security.protocol: " +
				"PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
		}
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		if strings.Contains(server, ":") && !strings.HasSuffix(server, "]") {
			return "", errors.New("host and port cannot be told apart; " + serversAccepted)
		}
		host, port = strings.Trim(server, "[]"), "9092"
	}
	if host == "" {
		return "", errors.New("the host is missing; " + serversAccepted)
	}
	if strings.ContainsAny(host, " \t/@?#") {
		return "", errors.New("the host holds a sign that no host has; " + serversAccepted)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("port %q is not a number from 1 to 65535; %s", mask.URL(port), serversAccepted)
	}
	return net.JoinHostPort(host, port), nil
}

// bare is an address without a login in front and a path behind it.
func bare(address string) string {
	address = address[strings.LastIndex(address, "@")+1:]
	if i := strings.IndexAny(address, "/?#"); i >= 0 {
		address = address[:i]
	}
	return address
}
