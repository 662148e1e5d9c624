package tokens

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Assertion is what a token service is asked with (RFC 7523): a signed statement who asks.
type Assertion struct {
	Algorithm                 string // RS256 or ES256
	Key                       func() (crypto.PrivateKey, error)
	Issuer, Subject, Audience string
	Life, Before              time.Duration // how long it holds, and how long before now it began
	ID                        string        // "" for none
	Template                  string        // a file with more of its header and payload, or ""
}

// Sign makes one.
func (a Assertion) Sign(now time.Time) (string, error) {
	method := jwt.GetSigningMethod(a.Algorithm)
	if a.Algorithm != "RS256" && a.Algorithm != "ES256" {
		return "", fmt.Errorf("algorithm %q is neither RS256 nor ES256", a.Algorithm)
	}
	var template struct {
		Header  map[string]any
		Payload jwt.MapClaims
	}
	if a.Template != "" {
		data, err := os.ReadFile(a.Template)
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(data, &template); err != nil {
			return "", fmt.Errorf("%s holds no JSON with header and payload: %w", a.Template, err)
		}
	}
	claims := jwt.MapClaims{
		"iat": now.Unix(), "nbf": now.Add(-a.Before).Unix(), "exp": now.Add(a.Life).Unix(),
	}
	for name, value := range map[string]string{"iss": a.Issuer, "sub": a.Subject, "aud": a.Audience, "jti": a.ID} {
		if value != "" {
			claims[name] = value
		}
	}
	maps.Copy(claims, template.Payload)
	key, err := a.Key()
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, template.Header)
	token.Header["alg"] = method.Alg()
	return token.SignedString(key)
}

// ReadFile is the one token, or assertion, that a file holds.
func ReadFile(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return "", errors.New("it does not hold one token and nothing else")
	}
	return text, nil
}
