package kafka

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// oauthbearer is what the properties say of logins by token.
type oauthbearer struct{ Config }

// now has the secrets of this moment.
func (c oauthbearer) now() oauthbearer { return oauthbearer{c.Config.now()} }

func (c oauthbearer) mechanism() (sasl.Mechanism, error) {
	if c.Properties["sasl.oauthbearer.method"] == "oidc" {
		return c.oidc()
	}
	if c.Properties["enable.sasl.oauthbearer.unsecure.jwt"] != "true" {
		return nil, c.notCarried("sasl.oauthbearer.method", "set it to oidc, with sasl.oauthbearer.client.id, "+
			"sasl.oauthbearer.client.secret and sasl.oauthbearer.token.endpoint.url", "has to say where tokens come from")
	}
	if _, err := c.now().unsecuredClaims(); err != nil {
		return nil, err
	}
	return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
		claims, err := c.now().unsecuredClaims()
		if err != nil {
			return oauth.Auth{}, err
		}
		return claims.auth(time.Now()), nil
	}), nil
}

// unsecured is what sasl.oauthbearer.config says of a token without a signature.
type unsecured struct {
	principalClaim, principal string
	scopeClaim                string
	scope                     []string
	life                      time.Duration
	extensions                map[string]string
}

func (c oauthbearer) unsecuredClaims() (unsecured, error) {
	u := unsecured{principalClaim: "sub", scopeClaim: "scope", life: time.Hour, extensions: map[string]string{}}
	for _, pair := range strings.Fields(c.Properties["sasl.oauthbearer.config"]) {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case name == "principalClaimName":
			u.principalClaim = value
		case name == "principal":
			u.principal = value
		case name == "scopeClaimName":
			u.scopeClaim = value
		case name == "scope":
			u.scope = strings.Split(value, ",")
		case name == "lifeSeconds":
			seconds, err := strconv.Atoi(value)
			if err != nil || seconds < 1 {
				return u, c.notCarried("sasl.oauthbearer.config", "give whole seconds", "has a lifeSeconds that is no number")
			}
			u.life = time.Duration(seconds) * time.Second
		case strings.HasPrefix(name, "extension_"):
			u.extensions[strings.TrimPrefix(name, "extension_")] = value
		default:
			return u, c.notCarried("sasl.oauthbearer.config", "known are principal, principalClaimName, scope, "+
				"scopeClaimName, lifeSeconds and extension_NAME", "holds an unknown name")
		}
	}
	if u.principal == "" {
		return u, c.notCarried("sasl.oauthbearer.config", "give principal=NAME", "names no principal")
	}
	return u, nil
}

func (u unsecured) auth(now time.Time) oauth.Auth {
	claims := map[string]any{u.principalClaim: u.principal, "iat": now.Unix(), "exp": now.Add(u.life).Unix()}
	if len(u.scope) > 0 {
		claims[u.scopeClaim] = u.scope
	}
	body, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Sprintf("claims of strings and numbers %v: %v", claims, err)) // cannot be
	}
	encode := base64.RawURLEncoding.EncodeToString
	return oauth.Auth{Token: encode([]byte(`{"alg":"none"}`)) + "." + encode(body) + ".", Extensions: u.extensions}
}

// tokens fetches tokens by client credentials and keeps one until shortly
// before its end; a client opens one connection per broker.
type tokens struct {
	config           oauthbearer
	endpoint         string
	id, secret       string // that the token was asked for with
	scope            string
	extensions       map[string]string
	mu               sync.Mutex
	token            string
	refresh, expires time.Time
}

func (c oauthbearer) oidc() (sasl.Mechanism, error) {
	if grant := c.Properties["sasl.oauthbearer.grant.type"]; grant != "" && grant != "client_credentials" {
		return nil, c.notCarried("sasl.oauthbearer.grant.type", "accepted is client_credentials", "%q cannot be used", grant)
	}
	t := &tokens{config: c, scope: c.Properties["sasl.oauthbearer.scope"], extensions: map[string]string{}}
	if _, _, err := c.now().client(); err != nil {
		return nil, err
	}
	var err error
	if t.endpoint, err = c.needed("sasl.oauthbearer.token.endpoint.url"); err != nil {
		return nil, err
	}
	where, err := url.Parse(t.endpoint)
	if err != nil || where.Host == "" || where.Scheme != "http" && where.Scheme != "https" {
		return nil, c.notCarried("sasl.oauthbearer.token.endpoint.url", "give an http or https URL", "is not a URL")
	}
	for _, pair := range strings.Split(c.Properties["sasl.oauthbearer.extensions"], ",") {
		if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			t.extensions[name] = value
		}
	}
	if _, err := c.now().tokenService(); err != nil {
		return nil, err
	}
	return oauth.Oauth(t.auth), nil
}

// needed is a property that method oidc cannot do without.
func (c oauthbearer) needed(property string) (string, error) {
	value, ok := c.property(property)
	if !ok || value == "" {
		return "", c.notCarried(property, "give it, or use another sasl.mechanism", "is missing; method oidc needs it")
	}
	return value, nil
}

// client is as whom the token service is asked.
func (c oauthbearer) client() (id, secret string, err error) {
	if id, err = c.needed("sasl.oauthbearer.client.id"); err == nil {
		secret, err = c.needed("sasl.oauthbearer.client.secret")
	}
	return id, secret, err
}

// tokenService is a client for one question.
func (c oauthbearer) tokenService() (*http.Client, error) {
	roots, err := pemFiles(c).roots("https.ca.location", "https.ca.pem")
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, // one question an hour
	}}, nil
}

func (t *tokens) auth(ctx context.Context) (oauth.Auth, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	id, secret, err := t.config.now().client()
	if err != nil {
		return oauth.Auth{}, err
	}
	if t.token == "" || now.After(t.refresh) || id != t.id || secret != t.secret {
		if err := t.fetch(ctx, now, id, secret); err != nil && (t.token == "" || now.After(t.expires)) {
			return oauth.Auth{}, err
		}
	}
	return oauth.Auth{Token: t.token, Extensions: t.extensions}, nil
}

// fetch asks the token service; its answer's body may hold secrets and is not shown.
func (t *tokens) fetch(ctx context.Context, now time.Time, id, secret string) error {
	form := url.Values{"grant_type": {"client_credentials"}}
	if t.scope != "" {
		form.Set("scope", t.scope)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return t.failed(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.SetBasicAuth(id, secret)
	client, err := t.config.now().tokenService()
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return t.failed(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return t.failed(fmt.Errorf("status %s", answer.Status))
	}
	var got struct {
		Token   string  `json:"access_token"`
		Seconds float64 `json:"expires_in"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&got); err != nil || got.Token == "" {
		return t.failed(fmt.Errorf("the answer holds no access_token"))
	}
	life := time.Duration(got.Seconds * float64(time.Second))
	t.token, t.refresh, t.expires = got.Token, now.Add(life*8/10), now.Add(life)
	t.id, t.secret = id, secret
	return nil
}

// failed explains an error. The library's own names the whole URL, in which a login
// and keys may stand: what is shown is where the service is.
func (t *tokens) failed(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		err = about.Err
	}
	return &Problem{
		What: fmt.Sprintf("cluster %s: get a token from %s", t.config.Name, showURL(t.endpoint)),
		Fix: fmt.Sprintf("check the sasl.oauthbearer properties of clusters.%s and that the token service can be reached",
			t.config.Name),
		Err: t.config.Conceal(err),
	}
}
