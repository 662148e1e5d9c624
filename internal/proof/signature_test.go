package proof

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"replicator/pkg/operate/verify"
)

// keys writes a pair of keys as openssl does.
func keys(t *testing.T, dir, name string) (private, public string) {
	t.Helper()
	open, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, public = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".pub.pem")
	of, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, private, "PRIVATE KEY", of)
	if of, err = x509.MarshalPKIXPublicKey(open); err != nil {
		t.Fatal(err)
	}
	writePEM(t, public, "PUBLIC KEY", of)
	return private, public
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// signed keeps a report, signed with a key file; "": not signed.
func signed(t *testing.T, path, private string, asked Report, verdict verify.Verdict) error {
	t.Helper()
	asked.Path, asked.Flows = path, []string{"a->b"}
	if private != "" {
		key, err := ReadKey(private)
		if err != nil {
			t.Fatal(err)
		}
		asked.Key = key
	}
	file, err := Open(asked)
	if err != nil {
		return err
	}
	defer file.Drop()
	return file.Keep(verified(verdict, "a->b"))
}

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Each way in which a report is not what was signed has its own words.
func TestASignatureIsChecked(t *testing.T) {
	dir := t.TempDir()
	ours, public := keys(t, dir, "ours")
	_, stranger := keys(t, dir, "stranger")
	equal, different := []byte(`"equal"`), []byte(`"different"`)
	for _, c := range []struct {
		why, with string
		change    func(path string)
		want      string // "": it holds
	}{
		{"as it was written", public, func(string) {}, ""},
		{"another key", stranger, func(string) {}, "says that it is signed with another key, sha256:"},
		{"a changed report", public, func(path string) {
			rewrite(t, path, func(b []byte) []byte { return bytes.Replace(b, different, equal, 1) })
		}, "is not what was signed: it was changed since, or"},
		{"a blank more", public, func(path string) {
			rewrite(t, path, func(b []byte) []byte { return append(b, '\n') })
		}, "is not what was signed"},
		{"a changed signature", public, func(path string) {
			rewrite(t, SignatureOf(path), func(b []byte) []byte { b[63] ^= 1; return b })
		}, "is not what was signed"},
		{"half a signature", public, func(path string) {
			rewrite(t, SignatureOf(path), func(b []byte) []byte { return b[:32] })
		}, "is not what was signed"},
		{"no signature", public, func(path string) { _ = os.Remove(SignatureOf(path)) }, "has no signature: "},
		{"one that is not signed", public, func(path string) {
			if err := signed(t, path, "", Report{Overwrite: true}, verify.Equal); err != nil {
				t.Fatal(err)
			}
		}, "was written without a signature: "},
		{"no report", public, func(path string) {
			rewrite(t, path, func([]byte) []byte { return []byte(`{"flows": []}`) })
		}, "is no report"},
		{"the private key", ours, func(string) {}, `holds a "PRIVATE KEY", not a "PUBLIC KEY"`},
	} {
		path := filepath.Join(t.TempDir(), "proof.json")
		if err := signed(t, path, ours, Report{}, verify.Different); err != nil {
			t.Fatal(err)
		}
		c.change(path)
		checked, err := Check(path, c.with)
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.why, err, c.want)
		}
		if c.want == "" && (err != nil || checked.Flows[0].Verdict != "different") {
			t.Errorf("%s: %+v %v", c.why, checked, err)
		}
		if left, _ := filepath.Glob(path + "*.*"); len(left) > 2 { // the pattern is right
			t.Errorf("%s: left are %v", c.why, left)
		}
	}
}

// A signed report is replaced by a signed one only, and nothing but a signature by a signature.
func TestASignedReportIsReplacedByASignedOne(t *testing.T) {
	dir := t.TempDir()
	ours, public := keys(t, dir, "ours")
	path := filepath.Join(dir, "proof.json")
	if err := os.WriteFile(SignatureOf(path), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := signed(t, path, ours, Report{}, verify.Different)
	if err == nil || !strings.Contains(err.Error(), "proof.json.sig is no signature of a report, and is left as it is") {
		t.Errorf("over a file of somebody: %v", err)
	}
	if err := os.Remove(SignatureOf(path)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := signed(t, path, ours, Report{}, verify.Equal); err != nil {
			t.Errorf("signed, and signed again: %v", err)
		}
	}
	err = signed(t, path, "", Report{}, verify.Equal)
	if err == nil || !strings.Contains(err.Error(), "it is signed, and this one would not be") {
		t.Errorf("not signed: %v", err)
	}
	if err := signed(t, path, ours, Report{}, verify.Different); err == nil {
		t.Error("a worse one replaced it")
	}
	beside, err := filepath.Glob(path + ".*Z")
	if err != nil || len(beside) != 1 {
		t.Fatalf("beside it: %v %v", beside, err)
	}
	for _, one := range append(beside, path) {
		if _, err := Check(one, public); err != nil {
			t.Error(err)
		}
	}
}

// What signs is one private key that nobody else can read; all else is refused, with what to do.
func TestOtherKeysAreRefused(t *testing.T) {
	dir := t.TempDir()
	ours, public := keys(t, dir, "ours")
	text, err := os.ReadFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	writePEM(t, in("ec"), "PRIVATE KEY", der)
	writePEM(t, in("encrypted"), "ENCRYPTED PRIVATE KEY", der)
	writePEM(t, in("broken"), "PRIVATE KEY", der[:9])
	for name, content := range map[string][]byte{"text": []byte("secret"), "two": append(text, text...), "open": text} {
		if err := os.WriteFile(in(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(in("open"), 0o640); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		in("ec"): "another kind than Ed25519", in("encrypted"): "is encrypted",
		in("broken"): "no key that can be read",
		in("text"):   "holds no key in PEM", in("two"): "more than one key", in("open"): "its mode is 0640",
		public: `holds a "PUBLIC KEY", not a "PRIVATE KEY"`, in("none"): "no such file",
	} {
		if _, err := ReadKey(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// A key of openssl signs, and openssl says the same of the report.
func TestOpensslChecksItToo(t *testing.T) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl here")
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	openssl := func(args ...string) (string, error) {
		out, err := exec.Command(program, args...).CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := openssl(args...); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	must("genpkey", "-algorithm", "ed25519", "-out", in("private.pem"))
	must("pkey", "-in", in("private.pem"), "-pubout", "-out", in("public.pem"))
	path := in("proof.json")
	if err := signed(t, path, in("private.pem"), Report{}, verify.Equal); err != nil {
		t.Fatal(err)
	}
	checks := []string{"pkeyutl", "-verify", "-pubin", "-inkey", in("public.pem"), "-rawin", "-in", path,
		"-sigfile", SignatureOf(path)}
	must(checks...)
	if _, err := Check(path, in("public.pem")); err != nil {
		t.Error(err)
	}
	rewrite(t, path, func(b []byte) []byte { return append(b, ' ') })
	if out, err := openssl(checks...); err == nil {
		t.Errorf("a changed report passes:\n%s", out)
	}
}
