package kafka

import (
	"net/url"
	"strconv"

	"replicator/pkg/replicate/kafka/mask"
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
	"ssl.truststore.password":                           true,
}

// Secret says whether a property's value must not be shown.
func Secret(property string) bool { return secret[property] }

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
			labels[quoted] = `"` + mask.Hidden + `"`
			return
		}
		for _, form := range []string{value, quoted[1 : len(quoted)-1], url.QueryEscape(value), url.PathEscape(value)} {
			labels[form] = mask.Hidden
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
	return mask.Text(mask.URLs(text), labels)
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
