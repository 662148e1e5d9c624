package integration

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// issuer is a token service whose tokens brokers check by its public keys.
type issuer struct {
	t *testing.T
	*httptest.Server
	life time.Duration

	mu      sync.Mutex
	key     *rsa.PrivateKey
	kid     int
	refuses bool
	given   int // tokens
}

func newIssuer(t *testing.T, life time.Duration) *issuer {
	t.Helper()
	i := &issuer{t: t, life: life}
	i.renew()
	mux := http.NewServeMux()
	mux.HandleFunc("/token", i.token)
	mux.HandleFunc("/keys", i.keys)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// renew replaces the key; what the former one has signed is refused from then on.
func (i *issuer) renew() {
	i.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(i.t, err)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.kid = key, i.kid+1
}

func (i *issuer) refuse(refuses bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refuses = refuses
}

// count is how many tokens were made.
func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.given
}

// sign makes a token.
func (i *issuer) sign() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"sub": user, "aud": "kafka", "iat": now.Unix(), "exp": now.Add(i.life).Unix(), "scope": "kafka",
	})
	token.Header["kid"] = fmt.Sprint(i.kid)
	text, err := token.SignedString(i.key)
	if err != nil {
		i.t.Error(err)
	}
	i.given++
	return text
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	refuses := i.refuses
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if id, secret, _ := r.BasicAuth(); refuses || id != user || secret != password {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error": "invalid_client"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": i.sign(), "token_type": "Bearer",
		"expires_in": i.life.Seconds()})
}

func (i *issuer) keys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	encode := base64.RawURLEncoding.EncodeToString
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256",
		"kid": fmt.Sprint(i.kid), "n": encode(i.key.N.Bytes()), "e": encode(big.NewInt(int64(i.key.E)).Bytes())}}})
}

// demands are the settings of brokers that take its tokens, and have clients show another
// one every five seconds (KIP-368).
func (i *issuer) demands() []cluster.Option {
	const module, handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
		"org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
	opts := []cluster.Option{cluster.Secure("SASL_PLAINTEXT"), cluster.OnDisk(),
		cluster.Java("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=" + i.URL + "/keys")}
	for name, value := range map[string]string{
		"listener.name.secure.sasl.enabled.mechanisms":                        "OAUTHBEARER",
		"listener.name.secure.oauthbearer.sasl.jaas.config":                   module + " required;",
		"listener.name.secure.oauthbearer.sasl.server.callback.handler.class": handler,
		"listener.name.secure.oauthbearer.connections.max.reauth.ms":          "5000",
		"sasl.oauthbearer.jwks.endpoint.url":                                  i.URL + "/keys",
		"sasl.oauthbearer.jwks.endpoint.refresh.ms":                           "1000",
		"sasl.oauthbearer.expected.audience":                                  "kafka",
	} {
		opts = append(opts, cluster.Config(name, value))
	}
	return opts
}

// Both lanes log in by tokens, of a service on one side and of a file on the other, show
// another one before it ends, and go on when the keys that have signed them are revoked.
func TestTokens(t *testing.T) {
	ours := newIssuer(t, 10*time.Second)
	source, target := cluster.Pair(t, ours.demands()...)
	file := filepath.Join(t.TempDir(), "token")
	keepFile(t, file, ours)
	ctx := deadline(t, 4*time.Minute)
	var sites []*site
	var daemons []*daemon
	var topics []string
	for _, lane := range []string{"batch", "record"} {
		topic := unique(t) + "-" + lane
		must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), topic))
		mixed(ctx, t, source.Bootstrap(), topic, 900, 500, 2)
		s := tokenSite(t, source, target, topic, lane, ours.URL+"/token", "file://"+file)
		if out, code := s.command("check", "--connect"); code != 0 {
			t.Fatalf("check --connect ends with %d:\n%s", code, out)
		}
		sites, daemons, topics = append(sites, s), append(daemons, s.run()), append(topics, topic)
	}
	judge := func(seed uint64) {
		t.Helper()
		for i, s := range sites {
			mixed(ctx, t, source.Bootstrap(), topics[i], seed, 500, 2)
			judged(ctx, t, s.sides(), topics[i:i+1], stand(ctx, t, source.Bootstrap(), seed+1, 2, topics[i]))
		}
	}
	judge(901)
	given := ours.count()
	eventually(t, time.Minute, "several tokens are shown on one connection", func() bool {
		return ours.count() > given+15
	})
	judge(911)
	for _, d := range daemons {
		for line := range strings.Lines(d.out.String()) {
			if holds(line, "level=WARN") && (holds(line, "kafka client") || holds(line, "is away")) {
				t.Errorf("while tokens end and follow each other, the daemon complains: %s", line)
			}
		}
	}
	ours.renew()
	judge(921)
	ours.refuse(true)
	for _, s := range sites {
		out, code := s.command("check", "--connect")
		if code != 1 || !holds(out, "cluster old-", "there is no token to log in with", "401", "invalid_client",
			"check under clusters.old-", "sasl.oauthbearer.client.secret") {
			t.Errorf("check --connect with a refused secret ends with %d:\n%s", code, out)
		}
	}
	for _, d := range daemons {
		d.says(time.Minute, "there is no token to log in with", "remedy=")
	}
	ours.refuse(false)
	judge(931)
	for _, d := range daemons {
		d.stop()
	}
}

// keepFile writes a token to a file every few seconds, as the kubelet does, until the test ends.
func keepFile(t *testing.T, path string, ours *issuer) {
	t.Helper()
	write := func() {
		if err := os.WriteFile(path+".new", []byte(ours.sign()), 0o600); err == nil {
			_ = os.Rename(path+".new", path)
		}
	}
	write()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-end:
				tick.Stop()
				return
			case <-tick.C:
				write()
			}
		}
	}()
	t.Cleanup(func() { close(end); <-ended })
}

// tokenSite is a flow between clusters with tokens of a service and of a file.
func tokenSite(t *testing.T, source, target *cluster.Cluster, topic, lane, service, file string) *site {
	t.Helper()
	binary, err := program()
	must(t, err)
	side := func(servers, endpoint, more string) string {
		return fmt.Sprintf("{bootstrap.servers: %q, security.protocol: SASL_PLAINTEXT, sasl.mechanism: OAUTHBEARER, "+
			"sasl.oauthbearer.method: oidc, sasl.oauthbearer.token.endpoint.url: %q%s}", servers, endpoint, more)
	}
	text := fmt.Sprintf("clusters:\n  old-%[1]s: %[2]s\n  new-%[1]s: %[3]s\nhttp: {listen: \"127.0.0.1:0\"}\n"+
		"flows:\n  - {from: old-%[1]s, to: new-%[1]s, topics: [%[4]s], groups: ['%[5]s.*'], shards: 2, lane: %[1]s, "+
		"ledger: __replicator.%[4]s, refresh_interval: 1s, group_sync_interval: 300ms}\n", lane,
		side(source.SecureBootstrap(), service, ", sasl.oauthbearer.client.id: "+user+", sasl.oauthbearer.client.secret: "+
			password), side(target.SecureBootstrap(), file, ""), topic, unique(t))
	path := filepath.Join(t.TempDir(), "flow.yaml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return &site{t: t, source: source, target: target, path: path, binary: binary}
}
