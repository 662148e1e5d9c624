package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"
)

// pemFiles reads the certificates and keys of a cluster, which are PEM, in files or in the properties themselves.
type pemFiles struct{ Config }

// settings are those of a connection.
func (c pemFiles) settings() (*tls.Config, error) {
	for property, fix := range map[string]string{
		"ssl.keystore.location": "give ssl.certificate.location and ssl.key.location, PEM files (openssl pkcs12 -nodes)",
		"ssl.crl.location":      "take it out; revocation lists are not checked",
		"ssl.providers":         "take it out; OpenSSL is used for one of the two libraries only",
		"ssl.engine.location":   "take it out; OpenSSL is used for one of the two libraries only",
	} {
		if c.Properties[property] != "" {
			return nil, c.notCarried(property, fix, "cannot be used")
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := c.roots("ssl.ca.location", "ssl.ca.pem")
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	if certificate, ok, err := c.certificate(); err != nil {
		return nil, err
	} else if ok {
		config.Certificates = []tls.Certificate{certificate}
	}
	switch {
	case c.Properties["enable.ssl.certificate.verification"] == "false":
		config.InsecureSkipVerify = true // the operator asked for it
	case c.Properties["ssl.endpoint.identification.algorithm"] == "none":
		config.InsecureSkipVerify = true // Go checks chain and name together; the chain is checked here
		config.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
	}
	return config, nil
}

func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the broker showed no certificate")
	}
	between := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		between.AddCert(certificate)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// roots is nil for the system's own authorities.
func (c pemFiles) roots(location, text string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if c.Properties[text] != "" {
		if !pool.AppendCertsFromPEM([]byte(c.Properties[text])) {
			return nil, c.notCarried(text, "give certificates in PEM", "holds no certificate")
		}
		return pool, nil
	}
	path := c.Properties[location]
	if path == "" || path == "probe" {
		return nil, nil
	}
	files := filesAt(path)
	found := false
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil && len(files) == 1 {
			return nil, c.notCarried(location, "give a readable PEM file", "cannot be read: %v", err)
		}
		found = pool.AppendCertsFromPEM(data) || found
	}
	if !found {
		return nil, c.notCarried(location, "give a PEM file, or a folder of them", "%s holds no certificate", path)
	}
	return pool, nil
}

func (c pemFiles) certificate() (tls.Certificate, bool, error) {
	chain, from, err := c.fileOrText("ssl.certificate.location", "ssl.certificate.pem")
	if err != nil {
		return tls.Certificate{}, false, err
	}
	key, keyFrom, err := c.fileOrText("ssl.key.location", "ssl.key.pem")
	if err != nil {
		return tls.Certificate{}, false, err
	}
	switch {
	case len(chain) == 0 && len(key) == 0:
		return tls.Certificate{}, false, nil
	case len(key) == 0:
		return tls.Certificate{}, false, c.notCarried(from, "give ssl.key.location as well", "has no key beside it")
	case len(chain) == 0:
		return tls.Certificate{}, false, c.notCarried(keyFrom, "give ssl.certificate.location as well",
			"has no certificate beside it")
	}
	if encrypted(key) {
		return tls.Certificate{}, false, c.notCarried(keyFrom, "decrypt it (openssl pkey) into a file that only "+
			"the program may read, and take ssl.key.password out", "is encrypted")
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, false, c.notCarried(from, "give a certificate and its own private key, both PEM",
			"cannot be used: %v", err)
	}
	return pair, true, nil
}

func (c pemFiles) fileOrText(location, text string) (data []byte, from string, err error) {
	if c.Properties[text] != "" {
		return []byte(c.Properties[text]), text, nil
	}
	path := c.Properties[location]
	if path == "" {
		return nil, location, nil
	}
	data, err = os.ReadFile(path)
	if err != nil {
		return nil, location, c.notCarried(location, "give a readable PEM file", "cannot be read: %v", err)
	}
	return data, location, nil
}

// encrypted knows PKCS#8's own encryption and the older one in PEM headers.
func encrypted(key []byte) bool {
	for {
		block, rest := pem.Decode(key)
		if block == nil {
			return false
		}
		if strings.HasPrefix(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
		key = rest
	}
}
