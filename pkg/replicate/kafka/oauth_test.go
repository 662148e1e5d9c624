package kafka

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/golang-jwt/jwt/v5"

	"replicator/pkg/replicate/kafka/tokens"
)

// byToken is a cluster with logins by token; more are properties.
func byToken(more ...string) Config {
	return Config{Name: "old", Properties: with(append([]string{"security.protocol", "SASL_PLAINTEXT", "sasl.mechanism",
		"OAUTHBEARER"}, more...)...)}
}

// byService is one with a token service.
func byService(endpoint string, more ...string) Config {
	return byToken(append([]string{"sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.token.endpoint.url", endpoint,
		"sasl.oauthbearer.client.id", "me", "sasl.oauthbearer.client.secret", "hunter2"}, more...)...)
}

// service answers questions for tokens; answer says what, and may look at the question.
func service(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(s.Close)
	return s.URL
}

// show is what a franz-go client sends to a broker.
func show(t *testing.T, c Config) (string, error) {
	t.Helper()
	mechanism, err := mechanismOf(c)
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := mechanism.Authenticate(seconds(t, 10), "broker:1")
	return string(first), err
}

// All clients of a cluster show one token, which is asked for once; other secrets ask again.
func TestTokenService(t *testing.T) {
	asked := 0
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		id, secret, inHeader := r.BasicAuth()
		if !inHeader {
			id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		if id != "me" || secret != "hunter2" ||
			r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "kafka" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error": "invalid_client", "error_description": "not ` + secret + ` eyJhbGciOi.x"}`))
			return
		}
		asked++
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600}`))
	})
	c := byService(url, "sasl.oauthbearer.scope", "kafka", "sasl.oauthbearer.extensions", "logicalCluster=lkc-1,pool=p")
	c.Tokens = tokens.NewCache()
	for range 2 { // the second from memory
		first, err := show(t, c)
		if want := "auth=Bearer t0ken\x01logicalCluster=lkc-1\x01pool=p\x01"; err != nil || !strings.Contains(first, want) {
			t.Fatalf("got %q, %v, want %q", first, err, want)
		}
	}
	handle, err := NewConsumer(c, map[string]any{"group.id": "g"})
	if err != nil {
		t.Fatal(err)
	}
	if err := handle.Close(); err != nil {
		t.Fatal(err)
	}
	if asked != 1 {
		t.Errorf("asked %d times for a token that holds an hour, want once", asked)
	}
	c.Properties["sasl.oauthbearer.client.secret"] = "hunter3"
	_, err = show(t, c)
	var problem *Problem
	if !errors.As(err, &problem) || !strings.Contains(problem.Error(), "401 Unauthorized, invalid_client: not *** ***") ||
		!strings.Contains(problem.Fix, "sasl.oauthbearer.client.secret") {
		t.Errorf("wrong secret: got %v, want a problem with the status and without the secret", err)
	}
	if got := c.Explain(context.DeadlineExceeded); got.Error() != problem.Error() {
		t.Errorf("a call that timed out is explained by %v, want %v", got, problem)
	}
}

// Why there is no token has a text and a remedy of its own.
func TestNoToken(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file://" + path
	}
	claims := jwt.MapClaims{"sub": "me", "exp": 1000}
	ended, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	says := func(text string) string {
		return service(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(text))
		})
	}
	status := func(code int) string {
		return service(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	for why, c := range map[string]struct {
		endpoint, said, fix string
	}{
		"unreachable":      {gone.URL, "refused", "https.ca.location"},
		"in trouble":       {status(503), "503", "asked again by itself"},
		"refused":          {status(403), "403", "sasl.oauthbearer.client.secret"},
		"no token":         {says(`{"token": "x"}`), "no access_token", "token endpoint"},
		"no JSON":          {says(`<html>`), "no access_token", "token endpoint"},
		"ended":            {says(`{"access_token": "` + ended + `"}`), "ended at 1970", "clocks"},
		"no file":          {"file:///no/such/token", "no such file", "let the program read"},
		"an empty file":    {file("empty", " \n"), "not hold one token", "one token and nothing else"},
		"an outdated file": {file("old", ended), "ended at 1970", "clocks"},
	} {
		config := byService(c.endpoint)
		_, err := show(t, config)
		var problem *Problem
		if !errors.As(err, &problem) || !strings.Contains(problem.Error(), c.said) ||
			!strings.Contains(problem.Fix, c.fix) || !strings.Contains(problem.Fix, "clusters.old") {
			t.Errorf("%s: got %v, remedy %q, want one of %q and %q", why, err, problem.Remedy(), c.said, c.fix)
		}
	}
}

// An assertion is signed by the key in a file, locked or not, and says what is asked for.
func TestJWTBearer(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(r.FormValue("assertion"), claims, func(token *jwt.Token) (any, error) {
			if token.Header["kid"] != "k1" {
				return nil, errors.New("no kid")
			}
			return &key.PublicKey, nil
		}, jwt.WithAudience("the service"), jwt.WithIssuer("us"), jwt.WithSubject("me"), jwt.WithExpirationRequired())
		if err != nil || r.FormValue("grant_type") != tokens.GrantJWTBearer || claims["jti"] == nil ||
			claims["team"] != "x" || r.FormValue("client_secret") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("the service gets %v, %v", r.Form, err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token": "t0ken", "expires_in": 60}`))
	})
	template := filepath.Join(t.TempDir(), "template.json")
	if err := os.WriteFile(template, []byte(`{"header": {"kid": "k1"}, "payload": {"team": "x"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	prefix := "sasl.oauthbearer.assertion."
	c := byToken("sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.token.endpoint.url", url,
		"sasl.oauthbearer.grant.type", tokens.GrantJWTBearer, prefix+"private.key.pem", text,
		prefix+"claim.aud", "the service", prefix+"claim.iss", "us", prefix+"claim.sub", "me", prefix+"claim.jti.include",
		"true", prefix+"jwt.template.file", template)
	if problems := problemsOf(c.Properties); problems != nil {
		t.Fatal(problems)
	}
	if first, err := show(t, c); err != nil || !strings.Contains(first, "t0ken") {
		t.Errorf("got %q, %v, want the token", first, err)
	}
}

// A token in a file is read again when the file changes.
func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	give := func(subject string) (token string) {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": subject,
			"exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte("k"))
		if err == nil {
			err = os.WriteFile(path, []byte(token+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	c := byToken("sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.token.endpoint.url", "file://"+path)
	give("first")
	if problems := problemsOf(c.Properties); problems != nil {
		t.Fatal(problems)
	}
	source, err := oauthbearer{c}.source()
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"first", "second"} {
		want := give(subject)
		got, err := source.Token(context.Background(), time.Now())
		if err != nil || got.Value != want || got.Principal != subject || time.Until(got.Refresh) > 11*time.Second {
			t.Errorf("got %v, %v, want the token of %s, and to look again soon", got, err, subject)
		}
	}
}

func TestUnsecuredToken(t *testing.T) {
	c := Config{Name: "old", Properties: with("sasl.oauthbearer.config",
		"principal=me principalClaimName=user scope=a,b lifeSeconds=60 extension_team=x")}
	source, err := (oauthbearer{c}).unsecured()
	if err != nil {
		t.Fatal(err)
	}
	got, err := source.Token(context.Background(), time.Unix(1000, 0))
	// {"alg":"none"} and {"exp":1060,"iat":1000,"scope":["a","b"],"user":"me"}
	want := "eyJhbGciOiJub25lIn0.eyJleHAiOjEwNjAsImlhdCI6MTAwMCwic2NvcGUiOlsiYSIsImIiXSwidXNlciI6Im1lIn0."
	if extensions, _ := (oauthbearer{c}).extensions(); got.Value != want || err != nil || extensions["team"] != "x" {
		t.Errorf("got %q %v %v, want %q and team=x", got.Value, extensions, err, want)
	}
	for _, text := range []string{"", "scope=a", "principal=me lifeSeconds=0", "principal=me what=1"} {
		c.Properties["sasl.oauthbearer.config"] = text
		if _, err := (oauthbearer{c}).unsecured(); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

// The URL of a token service may hold a login and keys: no text shows them, whatever
// is wrong, while it still tells which service it is.
func TestTokenServiceURLIsNotShown(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("move") != "" {
			http.Redirect(w, r, "gopher://moved:moved-s3cret@127.0.0.1/x?key=moved-s3cret", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer service.Close()
	for why, base := range map[string]string{
		"cannot be reached": away.URL + "/tenant/token?key=query-s3cret",
		"refuses":           service.URL + "/tenant/token?key=query-s3cret",
		"redirects":         service.URL + "/tenant/token?move=1&key=query-s3cret",
		"unknown host":      "http://no-such-host.invalid/tenant/token?key=query-s3cret#fragment-s3cret",
	} {
		endpoint := strings.Replace(base, "://", "://user-s3cret:pass-s3cret@", 1)
		c := Config{Name: "old", Properties: with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "OAUTHBEARER",
			"sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.client.id", "me",
			"sasl.oauthbearer.client.secret", "client-s3cret", "sasl.oauthbearer.token.endpoint.url", endpoint)}
		mechanism, err := mechanismOf(c)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = mechanism.Authenticate(seconds(t, 10), "")
		if err == nil {
			t.Fatalf("%s: got a token", why)
		}
		if text := err.Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, "/tenant/token") {
			t.Errorf("%s: got %q, want where the service is and nothing secret", why, text)
		}
		text := c.redact("Failed to retrieve OIDC token from \"" + endpoint + "\": (0)")
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s: librdkafka's text becomes %q", why, text)
		}
		event := ck.NewError(ck.ErrAuthentication, "Failed to retrieve OIDC token from \""+endpoint+"\": (0)", false)
		explained := c.Explain(event)
		code, ok := Code(explained)
		if strings.Contains(explained.Error(), "s3cret") || !ok || code != int(ck.ErrAuthentication) {
			t.Errorf("%s: an event of librdkafka becomes %q with code %d %v", why, explained, code, ok)
		}
	}
	for _, endpoint := range []string{
		"ftp://me:s3cret@host/x", "me:s3cret@host", "https://me:s3cret@host:port/x", "https:///s3cret",
	} {
		c := Config{Name: "old", Properties: with("security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER",
			"sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.client.id", "me",
			"sasl.oauthbearer.client.secret", "hush", "sasl.oauthbearer.token.endpoint.url", endpoint)}
		if got := problemsOf(c.Properties); len(got) != 1 || strings.Contains(got[0], "s3cret") {
			t.Errorf("%s: got problems %q, want one without the login", endpoint, got)
		}
	}
}

// librdkafka is given tokens, and nothing of where they come from.
func TestTokensForLibrdkafka(t *testing.T) {
	for why, c := range map[string]Config{
		"a token service": byService("http://127.0.0.1:1", "https.ca.pem", "x"),
		"keys of AWS": {Name: "old", Properties: with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "AWS_MSK_IAM",
			"aws.region", "eu-west-1", "aws.profile", "p")},
		"unsecured": byToken("enable.sasl.oauthbearer.unsecure.jwt", "true", "sasl.oauthbearer.config", "principal=me"),
	} {
		settings, err := c.settings(consumer, nil)
		if err != nil || settings["sasl.mechanisms"] != "OAUTHBEARER" {
			t.Errorf("%s: the mechanism is %v, %v", why, settings["sasl.mechanisms"], err)
		}
		for property := range settings {
			if aboutTokens(property) || property == "sasl.mechanism" {
				t.Errorf("%s: librdkafka is given %s", why, property)
			}
		}
	}
}
