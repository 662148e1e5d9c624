package tokens

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// reread is how often a file is looked at.
const reread = 10 * time.Second

// File is a token that somebody keeps fresh in a file, such as the kubelet.
type File struct{ Path string }

// Token reads the file. It is soon to be read again: it may change before the token ends.
func (f File) Token(_ context.Context, now time.Time) (Token, error) {
	text, err := ReadFile(f.Path)
	var path *os.PathError
	switch {
	case errors.As(err, &path):
		return Token{}, &Error{Unreadable, f.Path, path.Err}
	case err != nil:
		return Token{}, &Error{Missing, f.Path, err}
	}
	t, err := lasting(text, f.Path, now, time.Time{})
	if soon := now.Add(reread); err == nil && soon.Before(t.Refresh) {
		t.Refresh = soon
	}
	return t, err
}

// Unsecured makes tokens without a signature, for brokers that check none.
type Unsecured struct {
	PrincipalClaim, Principal string
	ScopeClaim                string
	Scope                     []string
	Life                      time.Duration
}

// Token makes one.
func (u Unsecured) Token(_ context.Context, now time.Time) (Token, error) {
	claims := map[string]any{u.PrincipalClaim: u.Principal, "iat": now.Unix(), "exp": now.Add(u.Life).Unix()}
	if len(u.Scope) > 0 {
		claims[u.ScopeClaim] = u.Scope
	}
	body, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Sprintf("claims of strings and numbers %v: %v", claims, err)) // cannot be
	}
	encode := base64.RawURLEncoding.EncodeToString
	value := encode([]byte(`{"alg":"none"}`)) + "." + encode(body) + "."
	return Token{Value: value, Principal: u.Principal, Refresh: now.Add(u.Life * 8 / 10), Expires: now.Add(u.Life)}, nil
}
