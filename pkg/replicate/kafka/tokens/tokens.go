// Package tokens gets what a login by OAUTHBEARER shows, for the clients of both
// libraries alike: from a token service by client credentials or by a signed
// assertion (RFC 7523), from a file that somebody keeps fresh, from AWS' keys, or
// made here where brokers ask for no signature.
//
// A [Source] gets one token; a [Cache] keeps it for all clients of a cluster. It
// guarantees:
//
//  1. a token that has ended is never shown: there is another one, or an [Error];
//  2. a service that does not answer is no trouble while the former token holds;
//  3. what a source needs (secrets, keys, files) is read when a token is asked for,
//     so that it may be replaced at any time;
//  4. no error holds a secret, or more of a service's answer than its error code
//     and one line of description.
//
// It knows no properties and no clusters: what to do about an error is told by who
// asked.
package tokens

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Token is what a login shows.
type Token struct {
	Value      string
	Principal  string // as the token itself says, "" where it cannot be read
	Refresh    time.Time
	Expires    time.Time
	Extensions map[string]string
}

// Source is where tokens come from.
type Source interface {
	// Token is a new one. Its error is an *[Error].
	Token(ctx context.Context, now time.Time) (Token, error)
}

// Kind is why there is no token.
type Kind int

// The kinds of an [Error].
const (
	Unreachable Kind = iota // the service gave no answer of use
	Refused                 // it said no
	Missing                 // the answer, or the file, holds no token
	Expired                 // the token has ended before it was shown
	Unreadable              // a file or a key that is needed for asking cannot be read
	NoKeys                  // AWS' chain of credentials, or of regions, ends without any
)

// Error is why there is no token.
type Error struct {
	Kind  Kind
	Where string // the service as it may be shown, a file, or AWS
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("get a token from %s: %v", e.Where, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// unknownLife is how long a token is used whose end nobody tells.
const unknownLife = 5 * time.Minute

// lasting is a token that begins now and ends then, the zero time where the source
// does not tell: then it says so itself, if it is one that can be read (a JWT).
func lasting(value, where string, now, expires time.Time) (Token, error) {
	t := Token{Value: value, Expires: expires}
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(value, &claims); err == nil {
		t.Principal = claims.Subject
		if claims.ExpiresAt != nil && (t.Expires.IsZero() || claims.ExpiresAt.Before(t.Expires)) {
			t.Expires = claims.ExpiresAt.Time
		}
	}
	if t.Expires.IsZero() {
		t.Expires = now.Add(unknownLife)
	}
	if !t.Expires.After(now) {
		return Token{}, &Error{Expired, where, fmt.Errorf("it has ended at %s", t.Expires.UTC().Format(time.RFC3339))}
	}
	t.Refresh = now.Add(t.Expires.Sub(now) * 8 / 10)
	return t, nil
}
