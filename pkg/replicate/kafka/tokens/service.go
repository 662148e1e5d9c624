package tokens

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Service is an OAuth 2 token service.
type Service struct {
	Endpoint string
	Shown    string       // the endpoint without what nobody may see
	Client   *http.Client // for one question
	Scope    string
}

// ask sends one request; its error is an *[Error].
func (s Service) ask(ctx context.Context, now time.Time, config clientcredentials.Config) (Token, error) {
	config.TokenURL = s.Endpoint
	if s.Scope != "" {
		config.Scopes = []string{s.Scope}
	}
	got, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, s.Client))
	if err != nil {
		return Token{}, s.failed(err)
	}
	return lasting(got.AccessToken, s.Shown, now, got.Expiry)
}

// failed classifies an error. The library's own may hold the whole URL, in which a login
// and keys may stand, or the whole answer, in which anything may stand.
func (s Service) failed(err error) error {
	var said *oauth2.RetrieveError
	var about *url.Error
	switch {
	case errors.As(err, &said):
		text := "status " + said.Response.Status
		if said.ErrorCode != "" {
			text += ", " + line(said.ErrorCode)
		}
		if said.ErrorDescription != "" {
			text += ": " + line(said.ErrorDescription)
		}
		kind := Refused
		if said.Response.StatusCode >= http.StatusInternalServerError {
			kind = Unreachable
		} else if said.Response.StatusCode < http.StatusMultipleChoices {
			kind = Missing
		}
		return &Error{kind, s.Shown, errors.New(text)}
	case errors.As(err, &about):
		return &Error{Unreachable, s.Shown, about.Err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Unreachable, s.Shown, err}
	}
	return &Error{Missing, s.Shown, errors.New("the answer holds no access_token")}
}

// line is the beginning of a service's text without tokens that it repeats.
func line(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		if strings.Contains(word, "eyJ") { // how a JWT begins
			words[i] = "***"
		}
	}
	text = strings.Join(words, " ")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

// ClientCredentials asks a service with an id and a secret.
type ClientCredentials struct {
	Service
	ID, Secret string
}

// Token asks the service: with the credentials in the header, and where it does not take
// them so, in the body.
func (c ClientCredentials) Token(ctx context.Context, now time.Time) (Token, error) {
	return c.ask(ctx, now, clientcredentials.Config{ClientID: c.ID, ClientSecret: c.Secret})
}

// JWTBearer asks a service with an assertion (RFC 7523).
type JWTBearer struct {
	Service
	Assertion func(now time.Time) (string, error)
}

// GrantJWTBearer is what RFC 7523 calls it.
const GrantJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// Token asks the service.
func (j JWTBearer) Token(ctx context.Context, now time.Time) (Token, error) {
	assertion, err := j.Assertion(now)
	if err != nil {
		return Token{}, &Error{Unreadable, j.Shown, fmt.Errorf("make the assertion: %w", err)}
	}
	return j.ask(ctx, now, clientcredentials.Config{
		AuthStyle:      oauth2.AuthStyleInParams, // without a client's id nothing is added there
		EndpointParams: url.Values{"grant_type": {GrantJWTBearer}, "assertion": {assertion}},
	})
}
