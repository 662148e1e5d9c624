package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"replicator/pkg/operate/verify"
)

// A report is put in place as a whole, only where a regular file or nothing is.
func TestReportReplacesNoDeviceAndNoLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 3)
	w.must("run", "--until-caught-up")
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(in("real.json"), nil, 0o600), os.WriteFile(in("notes.txt"), []byte("mine"), 0o600),
		os.Symlink("real.json", in("link")), os.Symlink("nowhere", in("dangling")),
		os.Mkdir(in("folder"), 0o700), syscall.Mkfifo(in("pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		in("link"): "is a symbolic link", in("dangling"): "is a symbolic link", in("folder"): "is a directory",
		in("pipe"): "is a named pipe", "/dev/null": "is a device", in("notes.txt"): "is no report of verify",
	} {
		for _, flags := range [][]string{nil, {"--overwrite"}} {
			if flags != nil && path == in("notes.txt") {
				continue
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			got := w.run(append([]string{"verify", "--report", path}, flags...)...)
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || before.Size() != after.Size() {
				t.Errorf("%s was touched: %v", path, err)
			}
			if got.code != exitFailed || !strings.Contains(got.stderr, want) || !strings.Contains(got.stderr, "remedy: ") ||
				strings.Contains(got.stdout, "verdict") {
				t.Errorf("%s: exit %d, want %q before the work begins\n%s%s", path, got.code, want, got.stdout, got.stderr)
			}
		}
	}
	w.must("verify", "--report", in("real.json")) // an empty file is a place
	if v := w.proof(in("real.json")); v.Verdict != verify.Equal {
		t.Errorf("the report: %+v", v)
	}
	w.must("verify", "--report", in("notes.txt"), "--overwrite")
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 6 {
		t.Errorf("%d files are left, %v: %v", len(left), left, err)
	}
}

// The proof of a run is kept from one that says less: about less, or with nothing to
// say.
func TestReportIsKeptFromOneThatSaysLess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Topic("payments", 1)
	w.source.Fill("orders", 0, 3)
	w.source.Fill("payments", 0, 3)
	w.must("run", "--until-caught-up")
	path := filepath.Join(t.TempDir(), "proof.json")
	w.must("verify", "--report", path)
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := func(why string) {
		t.Helper()
		now, err := os.ReadFile(path)
		if err != nil || string(now) != string(first) {
			t.Fatalf("%s: the proof was replaced: %v\n%s", why, err, now)
		}
	}
	for _, c := range []struct{ flags, want string }{
		{"--topics pay.*", `it is about more topics of flow old->new than --topics "pay.*"`},
		{"--since 1h", "it is about more of flow old->new than --since 1h"},
	} {
		got := w.run(append([]string{"verify", "--report", path}, strings.Fields(c.flags)...)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, c.want) || strings.Contains(got.stdout, "verdict") {
			t.Errorf("%s: exit %d, want %q before the work begins\n%s%s", c.flags, got.code, c.want, got.stdout, got.stderr)
		}
		kept(c.flags)
	}

	w.target.Fill("payments", 0, 1)
	got := w.run("verify", "--report", path)
	kept("another verdict")
	beside, err := filepath.Glob(path + ".*Z")
	if err != nil || len(beside) != 1 || got.code != exitFailed ||
		!strings.Contains(got.stderr, "was equal then, and is different now; the report of now is "+path) {
		t.Fatalf("exit %d, beside it %v %v\n%s", got.code, beside, err, got.stderr)
	}
	if v := w.proof(beside[0]); v.Verdict != verify.Different {
		t.Errorf("the report beside: %+v", v)
	}

	good := w.config
	w.config = w.write("127.0.0.1:1", w.target.Address())
	got = w.run("verify", "--report", path)
	kept("a dead cluster")
	if got.code != exitFailed || !strings.Contains(got.stderr, "cannot be reached") {
		t.Errorf("a dead cluster: exit %d\n%s", got.code, got.stderr)
	}
	w.config = good
	w.must("verify", "--report", path, "--topics", "orders", "--overwrite")
	if v := w.proof(path); v.Filters.Topics != "orders" || len(v.Partitions) != 1 || v.Program == "" {
		t.Errorf("when it was asked for: %+v", v)
	}
	w.must("verify", "--report", path, "--topics", "orders") // the same again
}

// A report that was signed is checked with the public key, from anywhere.
func TestReportIsSignedAndChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 3)
	w.must("run", "--until-caught-up")
	private, public := keyPair(t)
	path := filepath.Join(t.TempDir(), "proof.json")
	for _, c := range []struct {
		flags []string
		code  int
		want  string
	}{
		{[]string{"--sign", private}, exitUsage, "--sign signs the file of --report"},
		{[]string{"--sign", public, "--report", path}, exitFailed, `error: --sign: ` + public + ` holds a "PUBLIC KEY"`},
		{[]string{"--sign", private + ".not", "--report", path}, exitFailed, "error: --sign: "},
	} {
		got := w.run(append([]string{"verify"}, c.flags...)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.want) || got.stdout != "" {
			t.Errorf("%v: exit %d, want %q\n%s%s", c.flags, got.code, c.want, got.stdout, got.stderr)
		}
	}
	w.must("verify", "--report", path, "--sign", private)
	check := func(code int, wantOut, wantErr string, flags ...string) {
		t.Helper()
		got := command(w.ctx, append([]string{"report", "verify", path, "--key", public}, flags...)...)
		if got.code != code || !strings.Contains(got.stdout, wantOut) || !strings.Contains(got.stderr, wantErr) {
			t.Errorf("exit %d, want %d with %q and %q\n%s%s", got.code, code, wantOut, wantErr, got.stdout, got.stderr)
		}
	}
	check(exitDone, "it says     flow old->new: equal, up to ", "")
	check(exitDone, `"holds": true`, "", "--json")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), `"compared": 3`, `"compared": 4`, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	check(exitFailed, "", "is not what was signed: it was changed since, or "+path+".sig was\nremedy: do not go by it")
	check(exitFailed, `"holds": false`, "is not what was signed", "--json")
}

// keyPair writes a private and a public key.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	open, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, marshal func(any) ([]byte, error), of any) string {
		path := filepath.Join(t.TempDir(), name)
		der, err := marshal(of)
		if err == nil {
			err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("private.pem", "PRIVATE KEY", x509.MarshalPKCS8PrivateKey, key),
		write("public.pem", "PUBLIC KEY", x509.MarshalPKIXPublicKey, open)
}
