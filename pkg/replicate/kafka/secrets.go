package kafka

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// secret are the properties whose values no message may show.
var secret = map[string]bool{
	"sasl.password":                                     true,
	"sasl.oauthbearer.client.secret":                    true,
	"sasl.oauthbearer.client.credentials.client.secret": true,
	"sasl.oauthbearer.config":                           true,
	"sasl.oauthbearer.assertion.private.key.passphrase": true,
	"sasl.oauthbearer.assertion.private.key.pem":        true,
	"ssl.key.password":                                  true,
	"ssl.key.pem":                                       true,
	"ssl.keystore.password":                             true,
}

// Secret says whether a property's value must not be shown.
func Secret(property string) bool { return secret[property] }

// Mask puts a label in the place of each value that a text holds; values are the
// keys. Where values overlap, one of them being the beginning or the end of another,
// all that any of them covers is hidden, under the label of the one that begins first.
func Mask(text string, labels map[string]string) string {
	type span struct {
		from, to int
		label    string
	}
	var covered []span
	for value, label := range labels {
		for from := 0; value != ""; {
			i := strings.Index(text[from:], value)
			if i < 0 {
				break
			}
			covered = append(covered, span{from + i, from + i + len(value), label})
			from += i + 1
		}
	}
	slices.SortFunc(covered, func(a, b span) int {
		if a.from != b.from {
			return a.from - b.from
		}
		if a.to != b.to {
			return b.to - a.to
		}
		return strings.Compare(a.label, b.label)
	})
	var masked strings.Builder
	done := 0
	for _, s := range covered {
		if s.from >= done {
			masked.WriteString(text[done:s.from] + s.label)
		}
		done = max(done, s.to)
	}
	return masked.String() + text[done:]
}

const hidden = "***"

// leastSecret is the length from which a value is hidden wherever it stands. A shorter
// one is part of many a word, whose gap would tell it; it is hidden in quotes only.
const leastSecret = 4

// redact takes secret values out of a text that a library wrote, and out of each URL
// there what may be one: user, password and query.
func (c Config) redact(text string) string {
	labels := map[string]string{}
	hide := func(value string) {
		quoted := strconv.Quote(value)
		if len(value) < leastSecret {
			labels[quoted] = `"` + hidden + `"`
			return
		}
		for _, form := range []string{value, quoted[1 : len(quoted)-1], url.QueryEscape(value), url.PathEscape(value)} {
			labels[form] = hidden
		}
	}
	for _, properties := range []map[string]string{c.Properties, c.now().Properties} {
		for property, value := range properties {
			if secret[property] {
				hide(value)
			} else if at, err := url.Parse(value); err == nil && at.User != nil {
				if password, _ := at.User.Password(); password != "" {
					hide(password)
				}
			}
		}
	}
	return Mask(urls.ReplaceAllStringFunc(text, showURL), labels)
}

// concealed is an error whose text holds no secrets.
type concealed struct {
	text string
	err  error
}

func (c *concealed) Error() string { return c.text }
func (c *concealed) Unwrap() error { return c.err }

// Conceal is a library's error without what its text may hold of the cluster's secrets.
func (c Config) Conceal(err error) error {
	if err == nil {
		return nil
	}
	if text := c.redact(err.Error()); text != err.Error() {
		return &concealed{text, err}
	}
	return err
}

// urls finds what looks like a URL, well formed or not.
var urls = regexp.MustCompile("[A-Za-z][A-Za-z0-9+.-]*://[^\\s\"'`<>\\\\]+")

// showURL is a URL, or an address, as it may be shown: without user, password, query
// and fragment. It need not be well formed.
func showURL(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if scheme += "://"; !found {
		scheme, rest = "", text
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = hidden + rest[i:]
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i+1] + hidden
	}
	return scheme + rest
}
