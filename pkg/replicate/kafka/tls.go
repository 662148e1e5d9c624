package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"os"

	"replicator/pkg/replicate/kafka/stores"
)

// pemFiles reads the certificates and keys of a cluster: PEM, in files or in the properties themselves, and the stores
// of package stores.
type pemFiles struct{ Config }

// settings are those of a connection.
func (c pemFiles) settings() (*tls.Config, error) {
	for property, fix := range map[string]string{
		"ssl.crl.location":    "take it out; revocation lists are not checked",
		"ssl.providers":       "take it out; OpenSSL is used for one of the two libraries only",
		"ssl.engine.location": "take it out; OpenSSL is used for one of the two libraries only",
	} {
		if c.Properties[property] != "" {
			return nil, c.notCarried(property, fix, "cannot be used")
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := c.trusted()
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	if chain, key, err := c.identity(); err != nil {
		return nil, err
	} else if chain != nil {
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil { // it was looked at
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
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

// trusted are the authorities that sign the brokers' certificates.
func (c pemFiles) trusted() (*x509.CertPool, error) {
	list, err := c.trustStore()
	if err != nil || list == nil {
		if err == nil {
			return c.roots("ssl.ca.location", "ssl.ca.pem")
		}
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, certificate := range list {
		pool.AddCert(certificate)
	}
	return pool, nil
}

// trustStore is what a trust store of Java's kind holds; nil: there is none.
func (c pemFiles) trustStore() ([]*x509.Certificate, error) {
	const property = "ssl.truststore.location"
	path := c.Properties[property]
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, c.notCarried(property, "give a readable file", "cannot be read: %v", err)
	}
	list, err := stores.Trusted(data, c.Properties["ssl.truststore.password"])
	if err != nil {
		return nil, c.notCarried(property, "give a trust store in JKS, PKCS#12 or PEM, and its password with "+
			"ssl.truststore.password", "cannot be used: %v", err)
	}
	return list, nil
}

// identity is the certificate that the client shows, those that lead to its authority, and its key
// without a password, all PEM; nil: it shows none.
func (c pemFiles) identity() (chain, key []byte, err error) {
	const store = "ssl.keystore.location"
	password := c.Properties["ssl.key.password"]
	var found stores.Identity
	from := store
	if path := c.Properties[store]; path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, c.notCarried(store, "give a readable file", "cannot be read: %v", err)
		}
		if found, err = stores.Open(data, c.Properties["ssl.keystore.password"], password); err != nil {
			return nil, nil, c.notCarried(store, "give a key store in JKS, PKCS#12 or PEM with one key, its password with "+
				"ssl.keystore.password, and the key's own with ssl.key.password", "cannot be used: %v", err)
		}
		return found.PEM()
	}
	if chain, from, err = c.fileOrText("ssl.certificate.location", "ssl.certificate.pem"); err != nil {
		return nil, nil, err
	}
	key, keyFrom, err := c.fileOrText("ssl.key.location", "ssl.key.pem")
	switch {
	case err != nil:
		return nil, nil, err
	case len(chain) == 0 && len(key) == 0:
		return nil, nil, nil
	case len(key) == 0:
		return nil, nil, c.notCarried(from, "give ssl.key.location as well", "has no key beside it")
	case len(chain) == 0:
		return nil, nil, c.notCarried(keyFrom, "give ssl.certificate.location as well", "has no certificate beside it")
	}
	found, err = stores.FromPEM(chain, key, password)
	switch {
	case errors.Is(err, stores.ErrPassword):
		return nil, nil, c.notCarried(keyFrom, "give the password that opens it with ssl.key.password",
			"is locked: %v", err)
	case err != nil:
		return nil, nil, c.notCarried(from, "give a certificate and its own private key, both PEM", "cannot be used: %v", err)
	}
	return found.PEM()
}

// opened puts PEM in the place of the stores, and of keys that are locked.
func (c pemFiles) opened(properties map[string]string) error {
	list, err := c.trustStore()
	if err != nil {
		return err
	}
	if list != nil {
		properties["ssl.ca.pem"] = string(stores.Certificates(list))
	}
	if c.Properties["ssl.keystore.location"] != "" || c.Properties["ssl.key.password"] != "" {
		chain, key, err := c.identity()
		if err != nil {
			return err
		}
		for _, property := range []string{"ssl.certificate.location", "ssl.key.location", "ssl.key.password"} {
			delete(properties, property)
		}
		if chain != nil {
			properties["ssl.certificate.pem"], properties["ssl.key.pem"] = string(chain), string(key)
		}
	}
	maps.DeleteFunc(properties, func(property, _ string) bool { return ours[property] })
	return nil
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
