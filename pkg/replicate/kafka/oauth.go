package kafka

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"replicator/pkg/replicate/kafka/mask"
	"replicator/pkg/replicate/kafka/stores"
	"replicator/pkg/replicate/kafka/tokens"
)

// oauthbearer is what the properties say of logins by token. Both libraries are given
// tokens from here; librdkafka could ask a service itself, not know the other ways, and
// would ask once for each of its handles.
type oauthbearer struct{ Config }

const oauthbearerPrefix = "sasl.oauthbearer."

// aboutTokens says whether a property only says where tokens come from.
func aboutTokens(property string) bool {
	switch property {
	case "enable.sasl.oauthbearer.unsecure.jwt", "https.ca.location", "https.ca.pem", "aws.region", "aws.profile":
		return true
	}
	return strings.HasPrefix(property, oauthbearerPrefix)
}

// token is the one to show now.
func (c oauthbearer) token(ctx context.Context) (tokens.Token, error) {
	now := oauthbearer{c.now()}
	source, err := now.source()
	if err != nil {
		return tokens.Token{}, err
	}
	key := ""
	for _, property := range slices.Sorted(maps.Keys(now.Properties)) {
		if aboutTokens(property) {
			key += fmt.Sprintf("%q%q", property, now.Properties[property])
		}
	}
	t, err := c.Tokens.Get(ctx, key, source, func(err error) {
		problem := now.failed(err)
		c.logger().warnOnce(c.Config, "the token cannot be renewed, the former one is used while it holds",
			problem.Error(), problem.Remedy())
	})
	if err != nil {
		return t, now.failed(err)
	}
	t.Extensions, err = now.extensions()
	return t, err
}

// source is where tokens come from.
func (c oauthbearer) source() (tokens.Source, error) {
	if c.security().login == mskIAM {
		return c.aws()
	}
	if c.Properties["sasl.oauthbearer.method"] != "oidc" {
		if c.Properties["enable.sasl.oauthbearer.unsecure.jwt"] == "true" {
			return c.unsecured()
		}
		return nil, c.notCarried("sasl.oauthbearer.method", "set it to oidc, with sasl.oauthbearer.token.endpoint.url "+
			"and what the token service there wants: sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret, or "+
			"an assertion", "has to say where tokens come from")
	}
	if _, err := c.extensions(); err != nil {
		return nil, err
	}
	endpoint, err := c.needed("sasl.oauthbearer.token.endpoint.url")
	if err != nil {
		return nil, err
	}
	where, err := url.Parse(endpoint)
	if err == nil && where.Scheme == "file" && (where.Host == "" || where.Host == "localhost") && where.Path != "" {
		return tokens.File{Path: where.Path}, nil
	}
	if err != nil || where.Host == "" || where.Scheme != "http" && where.Scheme != "https" {
		return nil, c.notCarried("sasl.oauthbearer.token.endpoint.url", "give an http or https URL, or file:///PATH of "+
			"a file that holds a token", "is not a URL")
	}
	client, err := c.tokenService()
	if err != nil {
		return nil, err
	}
	service := tokens.Service{Endpoint: endpoint, Shown: mask.URL(endpoint), Client: client,
		Scope: c.Properties["sasl.oauthbearer.scope"]}
	switch grant := c.Properties["sasl.oauthbearer.grant.type"]; grant {
	case "", "client_credentials":
		id, secret, err := c.client()
		return tokens.ClientCredentials{Service: service, ID: id, Secret: secret}, err
	case tokens.GrantJWTBearer:
		assertion, err := c.assertion()
		return tokens.JWTBearer{Service: service, Assertion: assertion}, err
	default:
		return nil, c.notCarried("sasl.oauthbearer.grant.type", "accepted are client_credentials and "+
			tokens.GrantJWTBearer, "%q cannot be used", grant)
	}
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

// extensions are name=value pairs, separated by commas, that brokers are sent beside the token.
func (c oauthbearer) extensions() (map[string]string, error) {
	list := map[string]string{}
	for _, pair := range strings.Split(c.Properties["sasl.oauthbearer.extensions"], ",") {
		if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && name != "" {
			list[name] = value
		} else if pair != "" {
			return nil, c.notCarried("sasl.oauthbearer.extensions", "give name=value, separated by commas",
				"holds what is no name=value")
		}
	}
	for _, pair := range strings.Fields(c.Properties["sasl.oauthbearer.config"]) { // of unsecured tokens
		if name, value, ok := strings.Cut(strings.TrimPrefix(pair, "extension_"), "="); ok &&
			strings.HasPrefix(pair, "extension_") {
			list[name] = value
		}
	}
	return list, nil
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

// assertion is what the token service is asked with: one that somebody keeps in a file,
// or one that is signed here.
func (c oauthbearer) assertion() (func(time.Time) (string, error), error) {
	const prefix = oauthbearerPrefix + "assertion."
	of := func(property string) string { return c.Properties[prefix+property] }
	if path := of("file"); path != "" {
		return func(time.Time) (string, error) { return tokens.ReadFile(path) }, nil
	}
	if of("private.key.file") == "" && of("private.key.pem") == "" {
		return nil, c.notCarried(prefix+"private.key.file", "give a private key in PEM that the token service knows, or "+
			"a finished assertion with "+prefix+"file", "is missing; this sasl.oauthbearer.grant.type needs it")
	}
	a := tokens.Assertion{Algorithm: "RS256", Issuer: of("claim.iss"), Subject: of("claim.sub"), Audience: of("claim.aud"),
		Life: 300 * time.Second, Before: 60 * time.Second, Template: of("jwt.template.file")}
	if algorithm := of("algorithm"); algorithm != "" {
		a.Algorithm = strings.ToUpper(algorithm)
	}
	for property, life := range map[string]*time.Duration{"claim.exp.seconds": &a.Life, "claim.nbf.seconds": &a.Before} {
		if n, err := strconv.Atoi(of(property)); err == nil {
			*life = time.Duration(n) * time.Second
		}
	}
	if of("claim.jti.include") == "true" {
		a.ID = rand.Text()
	}
	a.Key = func() (crypto.PrivateKey, error) {
		text, _, err := pemFiles(c).fileOrText(prefix+"private.key.file", prefix+"private.key.pem")
		if err != nil {
			return nil, err
		}
		return stores.PrivateKey(text, of("private.key.passphrase"))
	}
	return a.Sign, nil
}

// unsecured is what sasl.oauthbearer.config says of a token without a signature.
func (c oauthbearer) unsecured() (tokens.Source, error) {
	u := tokens.Unsecured{PrincipalClaim: "sub", ScopeClaim: "scope", Life: time.Hour}
	for _, pair := range strings.Fields(c.Properties["sasl.oauthbearer.config"]) {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case name == "principalClaimName":
			u.PrincipalClaim = value
		case name == "principal":
			u.Principal = value
		case name == "scopeClaimName":
			u.ScopeClaim = value
		case name == "scope":
			u.Scope = strings.Split(value, ",")
		case name == "lifeSeconds":
			seconds, err := strconv.Atoi(value)
			if err != nil || seconds < 1 {
				return nil, c.notCarried("sasl.oauthbearer.config", "give whole seconds",
					"has a lifeSeconds that is no number")
			}
			u.Life = time.Duration(seconds) * time.Second
		case strings.HasPrefix(name, "extension_"):
		default:
			return nil, c.notCarried("sasl.oauthbearer.config", "known are principal, principalClaimName, scope, "+
				"scopeClaimName, lifeSeconds and extension_NAME", "holds an unknown name")
		}
	}
	if u.Principal == "" {
		return nil, c.notCarried("sasl.oauthbearer.config", "give principal=NAME", "names no principal")
	}
	return u, nil
}

// aws is the source of tokens for MSK. Its brokers' names tell the region.
func (c oauthbearer) aws() (tokens.Source, error) {
	a := tokens.AWS{Region: c.Properties["aws.region"], Profile: c.Properties["aws.profile"]}
	for _, server := range c.Servers() {
		host, _, _ := strings.Cut(server, ":")
		if a.Region == "" {
			a.Region = tokens.RegionOf(host)
		}
	}
	return a, nil
}

// failed is why there is no token, and what to do.
func (c oauthbearer) failed(err error) *Problem {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem
	}
	p := &Problem{What: fmt.Sprintf("cluster %s: there is no token to log in with", c.Name), Err: c.Conceal(err)}
	var why *tokens.Error
	if !errors.As(err, &why) {
		p.Fix = fmt.Sprintf("check the sasl.oauthbearer properties of clusters.%s", c.Name)
		return p
	}
	fixes := map[tokens.Kind]string{
		tokens.Unreachable: "check that sasl.oauthbearer.token.endpoint.url of clusters.%s names the token service, that " +
			"it runs and can be reached from this machine, and that https.ca.location names the authority that signed its " +
			"certificate if that is not a public one; it is asked again by itself",
		tokens.Refused: "check under clusters.%s what the token service is asked with: sasl.oauthbearer.client.id and " +
			"sasl.oauthbearer.client.secret, or the assertion and its key, and sasl.oauthbearer.scope; and that the token " +
			"service knows this client and lets it have tokens in this way",
		tokens.Missing: "check that sasl.oauthbearer.token.endpoint.url of clusters.%s leads to a token endpoint, or to a " +
			"file that holds one token and nothing else",
		tokens.Expired: "have whoever keeps the tokens of clusters.%s give one that holds, and compare the clocks of " +
			"this machine and of the token service",
		tokens.Unreadable: "let the program read the files that the sasl.oauthbearer properties of clusters.%s name: the " +
			"token, or the assertion or its private key in PEM, with its passphrase",
		tokens.NoKeys: "give the program keys of AWS for clusters.%s where AWS' own tools look for them (AWS_ACCESS_KEY_ID " +
			"and AWS_SECRET_ACCESS_KEY, a profile and aws.profile, a web identity, the role of the machine), and the region " +
			"with aws.region; 'aws sts get-caller-identity' shows whose they are",
	}
	p.Fix = fmt.Sprintf(fixes[why.Kind], c.Name)
	return p
}
