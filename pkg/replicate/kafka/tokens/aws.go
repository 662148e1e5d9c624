package tokens

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-msk-iam-sasl-signer-go/signer"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// AWS makes tokens for Amazon MSK: a request to connect, signed with the keys that AWS'
// own chain finds (environment, profile, web identity, the role of a container or of the
// machine). Nothing is asked of MSK for it.
type AWS struct {
	Region  string // "" for the one that the chain finds
	Profile string // "" for the chain's choice
}

// Token makes one; the keys are looked for anew.
func (a AWS) Token(ctx context.Context, now time.Time) (Token, error) {
	var options []func(*config.LoadOptions) error
	if a.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(a.Profile))
	}
	if a.Region != "" {
		options = append(options, config.WithRegion(a.Region))
	}
	chain, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return Token{}, &Error{NoKeys, "AWS' keys", err}
	}
	if chain.Region == "" {
		return Token{}, &Error{NoKeys, "AWS' keys", errors.New("no region is given")}
	}
	keys, err := chain.Credentials.Retrieve(ctx)
	if err != nil {
		return Token{}, &Error{NoKeys, "AWS' keys", err}
	}
	same := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
	value, ends, err := signer.GenerateAuthTokenFromCredentialsProvider(ctx, chain.Region, same)
	if err != nil {
		return Token{}, &Error{NoKeys, "AWS' keys", err}
	}
	expires := time.UnixMilli(ends)
	if keys.CanExpire && keys.Expires.Before(expires) {
		expires = keys.Expires // what they have signed ends with them
	}
	t, err := lasting(value, fmt.Sprintf("AWS' keys (%s)", keys.Source), now, expires)
	t.Principal = keys.AccessKeyID
	return t, err
}

// mskHost is how MSK names its brokers.
var mskHost = regexp.MustCompile(`\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$`)

// RegionOf is the region in the name of a broker of MSK, "" where there is none.
func RegionOf(host string) string {
	if m := mskHost.FindStringSubmatch(host); m != nil {
		return m[1]
	}
	return ""
}
