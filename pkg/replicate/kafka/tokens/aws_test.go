package tokens

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// withoutAWS hides what the machine may have of AWS, and its metadata service.
func withoutAWS(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	return dir
}

// signed reads what MSK is shown: the request that was signed.
func signed(t *testing.T, token Token) url.Values {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(token.Value)
	if err != nil {
		t.Fatal(err)
	}
	request, err := url.Parse(string(text))
	if err != nil || request.Query().Get("Action") != "kafka-cluster:Connect" ||
		request.Query().Get("X-Amz-Signature") == "" {
		t.Fatalf("%s is no signed request to connect: %v", text, err)
	}
	if life := time.Until(token.Expires); life < 10*time.Minute || life > 15*time.Minute {
		t.Errorf("it holds for %s", life)
	}
	return request.Query()
}

// Keys come from wherever AWS' chain finds them, and are looked for anew each time.
func TestAWSKeys(t *testing.T) {
	dir := withoutAWS(t)
	ask := func(a AWS) (Token, error) { return a.Token(context.Background(), time.Now()) }
	var none *Error
	if _, err := ask(AWS{Region: "eu-west-1"}); !errors.As(err, &none) || none.Kind != NoKeys {
		t.Errorf("without keys: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
	if _, err := ask(AWS{}); !errors.As(err, &none) || none.Kind != NoKeys {
		t.Errorf("without a region: %v", err)
	}
	got, err := ask(AWS{Region: "eu-west-1"})
	if err != nil || signed(t, got).Get("X-Amz-Credential")[:7] != "AKIAENV" {
		t.Fatalf("from the environment: %v, %v", got.Principal, err)
	}
	profile := "[profile mirror]\nregion = us-east-2\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = ask(AWS{Profile: "mirror"}); err != nil || got.Principal != "AKIAFILE" {
		t.Fatalf("from a profile: %v, %v", got.Principal, err)
	}
	signed(t, got)
}

// The role of a pod: a token of its own is changed at STS for keys, and what these have
// signed ends with them.
func TestAWSWebIdentity(t *testing.T) {
	dir := withoutAWS(t)
	ends := time.Now().Add(12 * time.Minute).UTC().Truncate(time.Second)
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("WebIdentityToken") != "pod" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>` +
			`<AccessKeyId>ASIAPOD</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>session</SessionToken>` +
			`<Expiration>` + ends.Format(time.RFC3339) + `</Expiration></Credentials></AssumeRoleWithWebIdentityResult>` +
			`</AssumeRoleWithWebIdentityResponse>`))
	}))
	defer sts.Close()
	file := filepath.Join(dir, "pod")
	if err := os.WriteFile(file, []byte("pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/mirror")
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	got, err := AWS{}.Token(context.Background(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if query := signed(t, got); query.Get("X-Amz-Security-Token") != "session" || !got.Expires.Equal(ends) {
		t.Errorf("signed %v, holds until %s, want the session and %s", query, got.Expires, ends)
	}
}
