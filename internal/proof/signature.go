package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"replicator/internal/answers"
)

// SignatureOf is where the signature of a report is: the 64 bytes of Ed25519 over the report's bytes, as they are, so
// that openssl checks it as well.
func SignatureOf(report string) string { return report + ".sig" }

// Key is a private key that signs reports.
type Key struct{ private ed25519.PrivateKey }

// keyError is a file that holds no such key, or not as it ought to be kept.
type keyError struct{ what, remedy string }

func (e *keyError) Error() string { return e.what }

// Remedy tells what to do.
func (e *keyError) Remedy() string { return e.remedy }

const (
	makeKey   = "make one with 'openssl genpkey -algorithm ed25519 -out FILE'"
	publicKey = "give the public key: 'openssl pkey -in PRIVATE -pubout -out FILE'"
)

// ReadKey reads a private key of Ed25519 (PEM, PKCS#8), which only its owner may be able to read.
func ReadKey(path string) (*Key, error) {
	at, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if open := at.Mode().Perm() & 0o077; at.Mode().IsRegular() && open != 0 {
		return nil, &keyError{fmt.Sprintf("others than its owner may use %s: its mode is %04o", path, at.Mode().Perm()),
			"'chmod 600' it; if others can have read it, make another key"}
	}
	key, err := parse(path, "PRIVATE KEY", x509.ParsePKCS8PrivateKey, makeKey)
	if err != nil {
		return nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, &keyError{path + " holds a key of another kind than Ed25519", makeKey}
	}
	return &Key{private}, nil
}

// parse reads the one PEM block of a file.
func parse(path, kind string, der func([]byte) (any, error), remedy string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, &keyError{path + " holds no key in PEM", remedy}
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, &keyError{path + " is encrypted, and nobody is asked for its password",
			"write it without one, for its owner alone: 'openssl pkey -in ENCRYPTED -out FILE'"}
	case block.Type != kind:
		return nil, &keyError{fmt.Sprintf("%s holds a %q, not a %q", path, block.Type, kind), remedy}
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, &keyError{path + " holds more than one key", "keep one key in a file"}
	}
	key, err := der(block.Bytes)
	if err != nil {
		return nil, &keyError{fmt.Sprintf("%s holds no key that can be read: %v", path, err), remedy}
	}
	return key, nil
}

// ID is the SHA-256 of the public key as openssl writes it in DER; "" without a key.
func (k *Key) ID() string {
	if k == nil {
		return ""
	}
	return idOf(k.private.Public().(ed25519.PublicKey))
}

func idOf(public ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // the type is one of those that it takes
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Checked is a report that is what was signed, and what it says.
type Checked struct {
	Key string // the ID of the key
	answers.Kept
}

// signatureError is a report that is not known to be what was signed.
type signatureError struct{ what, remedy string }

func (e *signatureError) Error() string { return e.what }

// Remedy tells what to do.
func (e *signatureError) Remedy() string { return e.remedy }

// Check says whether a report is, byte by byte, what the owner of a key has signed.
func Check(report, public string) (*Checked, error) {
	key, err := parse(public, "PUBLIC KEY", x509.ParsePKIXPublicKey, publicKey)
	if err != nil {
		return nil, err
	}
	with, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, &keyError{public + " holds a key of another kind than Ed25519", publicKey}
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	checked := &Checked{Key: idOf(with)}
	if json.Unmarshal(text, &checked.Kept) != nil || len(checked.Flows)+len(checked.Drills)+len(checked.Failed) == 0 {
		return nil, &signatureError{report + " is no report", "give the file that --report has written"}
	}
	signature, err := os.ReadFile(SignatureOf(report))
	switch by := checked.SignedBy; {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &signatureError{fmt.Sprintf("%s has no signature: %s is not there", report, SignatureOf(report)),
			"look for that file where the report was written; a report is signed by --sign"}
	case err != nil:
		return nil, err
	case ed25519.Verify(with, text, signature):
		return checked, nil
	case by == "":
		return nil, &signatureError{fmt.Sprintf("%s was written without a signature: %s is that of another file", report,
			SignatureOf(report)), "do not go by it; look for the report that was signed"}
	case by != checked.Key:
		return nil, &signatureError{fmt.Sprintf("%s says that it is signed with another key, %s; %s is %s", report, by,
			public, checked.Key),
			"check it with the public key of whoever made the report; do not go by one whose key you do not know"}
	}
	return nil, &signatureError{fmt.Sprintf("%s is not what was signed: it was changed since, or %s was", report,
		SignatureOf(report)), "do not go by it; look for both files as they were written"}
}
