// Package stores reads certificates and private keys from the files that operators
// have: PEM, PKCS#12 and Java's JKS, locked by a password or not.
//
// Formats are told by content, not by name. What is read is [Identity.PEM] or a list of
// certificates: both client libraries know that. No error holds a password.
package stores

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// jksMagic is how Java's own key stores begin.
var jksMagic = []byte{0xfe, 0xed, 0xfe, 0xed}

// Identity is a private key and the certificates that lead from it to an authority.
type Identity struct {
	Key   crypto.PrivateKey
	Chain []*x509.Certificate
}

// ErrPassword says that a password is missing or wrong.
var ErrPassword = errors.New("its password is missing or wrong")

// PEM is the identity as text, its key without a password.
func (i Identity) PEM() (chain, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		return nil, nil, err
	}
	return Certificates(i.Chain), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Certificates are certificates as text.
func Certificates(list []*x509.Certificate) (text []byte) {
	for _, certificate := range list {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	return text
}

// FromPEM is an identity of certificates and a key in PEM.
func FromPEM(chain, key []byte, password string) (Identity, error) {
	private, err := PrivateKey(key, password)
	if err != nil {
		return Identity{}, err
	}
	certificates, err := certificatesOf(chain)
	if err != nil {
		return Identity{}, err
	}
	return Identity{private, certificates}.checked()
}

// Open is the one identity in a key store of any format. keyPassword is the key's own, ""
// for that of the store.
func Open(data []byte, password, keyPassword string) (Identity, error) {
	if keyPassword == "" {
		keyPassword = password
	}
	switch {
	case bytes.HasPrefix(data, jksMagic):
		return openJKS(data, password, keyPassword)
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return FromPEM(data, data, keyPassword)
	}
	key, leaf, others, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return Identity{}, pkcs12Error(err)
	}
	return Identity{key, append([]*x509.Certificate{leaf}, others...)}.checked()
}

func openJKS(data []byte, password, keyPassword string) (Identity, error) {
	store, err := loadJKS(data, password)
	if err != nil {
		return Identity{}, err
	}
	var found []string
	for _, alias := range store.Aliases() {
		if store.IsPrivateKeyEntry(alias) {
			found = append(found, alias)
		}
	}
	if len(found) != 1 {
		return Identity{}, fmt.Errorf("it holds %d private keys, and has to hold one", len(found))
	}
	entry, err := store.GetPrivateKeyEntry(found[0], []byte(keyPassword))
	if err != nil {
		return Identity{}, fmt.Errorf("the key %q: %w", found[0], ErrPassword)
	}
	i := Identity{}
	if i.Key, err = x509.ParsePKCS8PrivateKey(entry.PrivateKey); err != nil {
		return Identity{}, err
	}
	for _, certificate := range entry.CertificateChain {
		parsed, err := x509.ParseCertificate(certificate.Content)
		if err != nil {
			return Identity{}, err
		}
		i.Chain = append(i.Chain, parsed)
	}
	return i.checked()
}

func loadJKS(data []byte, password string) (keystore.KeyStore, error) {
	store := keystore.New(keystore.WithOrderedAliases())
	err := store.Load(bytes.NewReader(data), []byte(password))
	if err != nil && err.Error() == "got invalid digest" {
		err = ErrPassword
	}
	return store, err
}

// pkcs12Error says what is wrong with a store that is neither Java's own nor PEM.
func pkcs12Error(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return ErrPassword
	}
	return fmt.Errorf("it cannot be read as PEM, PKCS#12 or JKS: %w", err)
}

// checked refuses a key that is not the certificate's.
func (i Identity) checked() (Identity, error) {
	chain, key, err := i.PEM()
	if err != nil {
		return Identity{}, err
	}
	_, err = tls.X509KeyPair(chain, key)
	return i, err
}

// Trusted are the certificates in a trust store of any format.
func Trusted(data []byte, password string) ([]*x509.Certificate, error) {
	switch {
	case bytes.HasPrefix(data, jksMagic):
		store, err := loadJKS(data, password)
		if err != nil {
			return nil, err
		}
		var list []*x509.Certificate
		for _, alias := range store.Aliases() {
			entry, err := store.GetTrustedCertificateEntry(alias)
			if err != nil {
				continue // a private key
			}
			certificate, err := x509.ParseCertificate(entry.Certificate.Content)
			if err != nil {
				return nil, err
			}
			list = append(list, certificate)
		}
		return some(list)
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return certificatesOf(data)
	}
	list, err := pkcs12.DecodeTrustStore(data, password) // as Java, what is marked as trusted: keytool does that
	if err != nil {
		return nil, pkcs12Error(err)
	}
	return some(list)
}

func certificatesOf(text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, certificate)
	}
	return some(list)
}

func some(list []*x509.Certificate) ([]*x509.Certificate, error) {
	if len(list) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return list, nil
}

// PrivateKey is the first private key in a text of PEM; the password is used if it is locked.
func PrivateKey(text []byte, password string) (crypto.PrivateKey, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch der := block.Bytes; block.Type {
		case "PRIVATE KEY":
			return x509.ParsePKCS8PrivateKey(der)
		case "ENCRYPTED PRIVATE KEY":
			if password == "" {
				return nil, ErrPassword
			}
			key, err := pkcs8.ParsePKCS8PrivateKey(der, []byte(password))
			if err != nil && err.Error() == "pkcs8: incorrect password" {
				err = ErrPassword
			}
			return key, err
		case "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				var err error
				//lint:ignore SA1019 what operators have is read; the attack on its padding needs one who may try often
				if der, err = x509.DecryptPEMBlock(block, []byte(password)); err != nil {
					return nil, ErrPassword
				}
			}
			if block.Type == "EC PRIVATE KEY" {
				return x509.ParseECPrivateKey(der)
			}
			return x509.ParsePKCS1PrivateKey(der)
		}
	}
	return nil, errors.New("it holds no private key in PEM")
}
