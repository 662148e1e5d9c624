package mm2

import (
	"fmt"
	"slices"
	"strings"
)

// clusterRule carries a connection key out on a cluster.
type clusterRule func(c *cluster, s *setting) Verdict

const (
	ownLogins   = "logins are the program's own; set the cluster's sasl properties"
	bySight     = "the format of a store is seen"
	goTLS       = "TLS 1.2 and later with the ciphers that both ends agree on; Java's names mean nothing here"
	kerberos    = "each login asks the KDC anew, without a program of the system"
	serverCheck = "it is for those who check tokens, not for those who show them"
)

// connectionRules are the keys that say how to reach a cluster.
var connectionRules = map[string]clusterRule{
	"bootstrap.servers": func(c *cluster, s *setting) Verdict {
		return c.written.set("bootstrap.servers", strings.Join(c.servers(), ","), s)
	},
	"security.protocol": func(c *cluster, s *setting) Verdict {
		known := []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
		if !slices.Contains(known, c.security().protocol) {
			c.in.bad(s, "%q is unknown; accepted are %s", s.trimmed(), strings.Join(known, ", "))
		}
		return c.written.set("security.protocol", c.security().protocol, s)
	},
	"security.providers": noneHere("the program has its own TLS and logins"),

	"sasl.mechanism": ifSASL(func(c *cluster, s *setting) Verdict {
		if !c.security().usable() {
			return Verdict{NoEquivalent, c.security().cannotUse() + "; the written configuration has a hole there, see below"}
		}
		return c.written.set("sasl.mechanism", c.security().mechanism, s)
	}),
	"sasl.jaas.config":                                  ifSASL((*cluster).login),
	"sasl.oauthbearer.token.endpoint.url":               ifSASL(same("sasl.oauthbearer.token.endpoint.url")),
	"sasl.oauthbearer.scope":                            ifSASL(same("sasl.oauthbearer.scope")),
	"sasl.oauthbearer.client.credentials.client.id":     ifSASL(same("sasl.oauthbearer.client.id")),
	"sasl.oauthbearer.client.credentials.client.secret": ifSASL(same("sasl.oauthbearer.client.secret")),
	"sasl.login.callback.handler.class":                 ifSASL(handler),
	"sasl.client.callback.handler.class":                noneHere(ownLogins),
	"sasl.login.class":                                  noneHere(ownLogins),

	"sasl.kerberos.service.name":                ifSASL(same("sasl.kerberos.service.name")),
	"sasl.kerberos.kinit.cmd":                   leaveHere(kerberos),
	"sasl.kerberos.min.time.before.relogin":     leaveHere(kerberos),
	"sasl.kerberos.ticket.renew.jitter":         leaveHere(kerberos),
	"sasl.kerberos.ticket.renew.window.factor":  leaveHere(kerberos),
	"sasl.login.connect.timeout.ms":             leaveHere(ownRetries),
	"sasl.login.read.timeout.ms":                leaveHere(ownRetries),
	"sasl.login.retry.backoff.ms":               leaveHere(ownRetries),
	"sasl.login.retry.backoff.max.ms":           leaveHere(ownRetries),
	"sasl.login.refresh.buffer.seconds":         leaveHere("tokens are renewed in time by themselves"),
	"sasl.login.refresh.min.period.seconds":     leaveHere("tokens are renewed in time by themselves"),
	"sasl.login.refresh.window.factor":          leaveHere("tokens are renewed in time by themselves"),
	"sasl.login.refresh.window.jitter":          leaveHere("tokens are renewed in time by themselves"),
	"sasl.oauthbearer.header.urlencode":         leaveHere("the credentials are sent as they are"),
	"sasl.oauthbearer.clock.skew.seconds":       leaveHere(serverCheck),
	"sasl.oauthbearer.expected.audience":        leaveHere(serverCheck),
	"sasl.oauthbearer.expected.issuer":          leaveHere(serverCheck),
	"sasl.oauthbearer.jwks.endpoint.url":        leaveHere(serverCheck),
	"sasl.oauthbearer.scope.claim.name":         leaveHere(serverCheck),
	"sasl.oauthbearer.sub.claim.name":           leaveHere(serverCheck),
	"sasl.oauthbearer.jwks.endpoint.refresh.ms": leaveHere(serverCheck),

	"ssl.truststore.location": ifTLS(same("ssl.truststore.location")),
	"ssl.truststore.certificates": ifTLS(func(c *cluster, s *setting) Verdict {
		return c.written.set("ssl.ca.pem",
			s.value, s)
	}),
	"ssl.truststore.password": ifTLS(same("ssl.truststore.password")),
	"ssl.truststore.type":     leaveHere(bySight),
	"ssl.keystore.location":   ifTLS(same("ssl.keystore.location")),
	"ssl.keystore.key": ifTLS(func(c *cluster, s *setting) Verdict {
		return c.written.set("ssl.key.pem",
			s.value, s)
	}),
	"ssl.keystore.certificate.chain": ifTLS(func(c *cluster, s *setting) Verdict {
		return c.written.set("ssl.certificate.pem", s.value, s)
	}),
	"ssl.keystore.password": ifTLS(same("ssl.keystore.password")),
	"ssl.keystore.type":     leaveHere(bySight),
	"ssl.key.password":      ifTLS(same("ssl.key.password")),
	"ssl.endpoint.identification.algorithm": ifTLS(func(c *cluster, s *setting) Verdict {
		algorithm := strings.ToLower(s.trimmed())
		if algorithm == "" {
			algorithm = "none"
		}
		return c.written.set("ssl.endpoint.identification.algorithm", algorithm, s)
	}),
	"ssl.engine.factory.class":         noneHere("the program has its own TLS; give certificates and keys as files"),
	"ssl.cipher.suites":                leaveHere(goTLS),
	"ssl.enabled.protocols":            leaveHere(goTLS),
	"ssl.protocol":                     leaveHere(goTLS),
	"ssl.provider":                     leaveHere(goTLS),
	"ssl.keymanager.algorithm":         leaveHere(goTLS),
	"ssl.trustmanager.algorithm":       leaveHere(goTLS),
	"ssl.secure.random.implementation": leaveHere(goTLS),
}

// same writes a value under a property.
func same(property string) clusterRule {
	return func(c *cluster, s *setting) Verdict { return c.written.set(property, s.trimmed(), s) }
}

func leaveHere(text string) clusterRule {
	return func(*cluster, *setting) Verdict { return Verdict{LeftOut, text} }
}

func noneHere(text string) clusterRule {
	return func(*cluster, *setting) Verdict { return Verdict{NoEquivalent, text} }
}

func ifSASL(r clusterRule) clusterRule {
	return func(c *cluster, s *setting) Verdict {
		if !c.security().sasl() {
			return Verdict{LeftOut, "not used: security.protocol of " + c.name + " is " + c.security().protocol}
		}
		return r(c, s)
	}
}

func ifTLS(r clusterRule) clusterRule {
	return func(c *cluster, s *setting) Verdict {
		if !c.security().tls() {
			return Verdict{LeftOut, "not used: security.protocol of " + c.name + " is " + c.security().protocol}
		}
		return r(c, s)
	}
}

// handler knows the classes that ask a token service by client credentials.
func handler(_ *cluster, s *setting) Verdict {
	class := s.trimmed()
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "OAuthBearerLoginCallbackHandler", "JaasClientOauthLoginCallbackHandler":
		return Verdict{Mapped, "sasl.oauthbearer.method: oidc"}
	}
	return Verdict{NoEquivalent, fmt.Sprintf("what %s does is not known here; tokens come from a service by client "+
		"credentials", class)}
}

// login takes user and password, or what names a client to a token service, out of
// a JAAS login.
func (c *cluster) login(s *setting) Verdict {
	if !c.security().usable() {
		return Verdict{NoEquivalent, c.security().cannotUse()}
	}
	if provided.FindString(s.trimmed()) == s.trimmed() {
		v := Verdict{Mapped, "its config provider holds a whole login, which is asked for in parts"}
		if c.security().byPassword() {
			c.written.fromEnv("sasl.username", "", s)
			c.written.fromEnv("sasl.password", "", s)
		}
		return v
	}
	login, ok := parseJAAS(s.value)
	if !ok {
		c.in.bad(s, "is no login that can be read; expected is MODULE required NAME=\"VALUE\" ... ;")
		return Verdict{LeftOut, ""}
	}
	c.options = login.options
	if c.security().byAWS() {
		return c.aws(login.options, s)
	}
	if c.security().byTicket() {
		return Verdict{Mapped, fmt.Sprintf("clusters.%s.sasl.kerberos", c.name)}
	}
	if !c.security().byPassword() {
		return Verdict{Mapped, fmt.Sprintf("clusters.%s.sasl.oauthbearer, its secret read from the environment", c.name)}
	}
	switch {
	case login.module != "PlainLoginModule" && login.module != "ScramLoginModule":
		c.in.bad(s, "logs in with %s, but sasl.mechanism of %s is %s", printable(login.module), c.name,
			c.security().mechanism)
	case strings.EqualFold(login.options["tokenauth"], "true"):
		c.in.bad(s, "logs in with a delegation token, which cannot be used here; give the program a user of its own")
	case login.options["username"] == "" || login.options["password"] == "":
		c.in.bad(s, "names no username or no password")
	}
	c.written.set("sasl.username", login.options["username"], s)
	v := c.written.set("sasl.password", login.options["password"], s)
	v.Text += ", and sasl.username"
	return v
}

// aws writes whose keys of AWS are used.
func (c *cluster) aws(options map[string]string, s *setting) Verdict {
	v := Verdict{Mapped, "keys come from where AWS' own tools look for them"}
	if profile := options["awsProfileName"]; profile != "" {
		v = c.written.set("aws.profile", profile, s)
	}
	if role := options["awsRoleArn"]; role != "" {
		c.written.step("cluster %s: the role %s is taken by a profile of AWS with role_arn; name it with aws.profile",
			c.name, printable(role))
	}
	return v
}

// ticket writes who logs in by Kerberos, which is Java's default.
func (c *cluster) ticket(by *setting) {
	s := c.effective("sasl.jaas.config")
	if s == nil {
		s = by
	}
	c.written.properties["sasl.mechanism"] = text{value: "GSSAPI", origin: fmt.Sprintf("line %d", by.line)}
	for property, option := range map[string]string{
		"sasl.kerberos.principal": "principal", "sasl.kerberos.keytab": "keyTab",
	} {
		if value := c.options[option]; value != "" {
			c.written.set(property, value, s)
		} else {
			c.written.fromEnv(property, "", s)
		}
	}
	if name := c.options["serviceName"]; name != "" && c.effective("sasl.kerberos.service.name") == nil {
		c.written.set("sasl.kerberos.service.name", name, s)
	}
}

// oauth writes how tokens are got.
func (c *cluster) oauth(by *setting) {
	s := c.effective("sasl.jaas.config")
	if s == nil {
		s = by
	}
	fill := func(property string, names ...string) bool {
		for _, name := range names {
			if _, there := c.written.properties[property]; !there && c.options[name] != "" {
				c.written.set(property, c.options[name], s)
			}
		}
		_, there := c.written.properties[property]
		return there
	}
	if sub := c.options["unsecuredLoginStringClaim_sub"]; sub != "" {
		c.written.properties["enable.sasl.oauthbearer.unsecure.jwt"] = text{value: "true", origin: fmt.Sprintf("line %d",
			s.line)}
		c.written.fromEnv("sasl.oauthbearer.config", "", s)
		c.written.step("cluster %s: %s is to be principal=%s", c.name, c.written.variable("sasl.oauthbearer.config"),
			printable(sub))
		return
	}
	if !fill("sasl.oauthbearer.token.endpoint.url", "oauth.token.endpoint.uri") {
		c.in.bad(by, "logs in to cluster %s by tokens, but no sasl.oauthbearer.token.endpoint.url says where they come from",
			c.name)
		return
	}
	c.written.properties["sasl.oauthbearer.method"] = text{value: "oidc", origin: fmt.Sprintf("line %d", by.line)}
	if strings.HasPrefix(c.value("sasl.oauthbearer.token.endpoint.url"), "file:") {
		return // it holds a token: nobody is asked
	}
	if !fill("sasl.oauthbearer.client.id", "clientId", "oauth.client.id") {
		c.written.fromEnv("sasl.oauthbearer.client.id", "", s)
	}
	if !fill("sasl.oauthbearer.client.secret", "clientSecret", "oauth.client.secret") {
		c.written.fromEnv("sasl.oauthbearer.client.secret", "", s)
	}
	fill("sasl.oauthbearer.scope", "scope", "oauth.scope")
	if store := c.options["oauth.ssl.truststore.location"]; store != "" {
		c.written.step("cluster %s: turn %s into a PEM file, and name it with https.ca.location", c.name, printable(store))
	}
}
