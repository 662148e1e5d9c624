package tokens

import (
	"context"
	"errors"
	"testing"
	"time"
)

// scripted gives tokens one after the other.
type scripted struct {
	asked int
	err   error
	life  time.Duration
}

func (s *scripted) Token(_ context.Context, now time.Time) (Token, error) {
	s.asked++
	value := string(rune('a' + s.asked - 1))
	return Token{Value: value, Refresh: now.Add(s.life * 8 / 10), Expires: now.Add(s.life)}, s.err
}

// One token is kept until its time has come, the key is another, or a broker refused it;
// where the source fails it is shown while it holds, and never longer.
func TestCache(t *testing.T) {
	s := &scripted{life: time.Hour}
	c := NewCache()
	var troubles []error
	get := func(key, want string) {
		t.Helper()
		got, err := c.Get(context.Background(), key, s, func(err error) { troubles = append(troubles, err) })
		if want == "" {
			if err == nil || c.Failed() == nil {
				t.Errorf("got %q, want an error that is remembered", got.Value)
			}
			return
		}
		if err != nil || got.Value != want || c.Failed() != nil {
			t.Errorf("got %q, %v, want %q", got.Value, err, want)
		}
	}
	get("k", "a")
	get("k", "a")
	if c.Doubt("a") {
		t.Error("a token that was just fetched is doubted")
	}
	get("other secret", "b")
	c.fetched = c.fetched.Add(-again)
	if c.Doubt("a") || !c.Doubt("b") {
		t.Error("what is doubted is the token that is kept")
	}
	get("other secret", "c")
	s.err = errors.New("away")
	c.token.Refresh = time.Now()
	get("other secret", "c")
	get("other secret", "c") // not asked again at once
	if len(troubles) != 1 || s.asked != 4 {
		t.Errorf("told of %v after %d questions, want one trouble and 4", troubles, s.asked)
	}
	get("third secret", "") // the former token was got with another
	c.token.Refresh, c.token.Expires = time.Now(), time.Now()
	get("other secret", "")
	s.err = nil
	get("other secret", "g")
}

func TestRegionOf(t *testing.T) {
	for host, want := range map[string]string{
		"b-1.demo.abc123.c2.kafka.eu-central-1.amazonaws.com":      "eu-central-1",
		"boot-xyz.c1.kafka-serverless.us-east-1.amazonaws.com":     "us-east-1",
		"b-2-public.demo.abc.c3.kafka.cn-north-1.amazonaws.com.cn": "cn-north-1",
		"kafka.example.com":                      "",
		"b-1.kafka.us-east-1.amazonaws.com.evil": "",
	} {
		if got := RegionOf(host); got != want {
			t.Errorf("RegionOf(%q) = %q, want %q", host, got, want)
		}
	}
}
