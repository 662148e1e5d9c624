// Package kerberos logs in by Kerberos (GSSAPI) with a keytab file or a password.
//
// Each login asks the KDC anew, with what the keytab, or the password, is then: nothing
// of a former one is kept. It speaks the protocol itself (gokrb5), without the system's
// library; the realm's KDCs it reads where that does, in the file that KRB5_CONFIG
// names, else /etc/krb5.conf.
package kerberos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/kerberos"
)

// Login is who logs in, and how.
type Login struct {
	Principal string // name, or name@REALM
	Keytab    string // a file; "" for the password
	Password  string
	Service   string // of the brokers: the name before the slash in their principals
}

// Mechanism logs in by what now gives at that moment. Its errors are explained.
func Mechanism(now func() Login, explain func(error) error) sasl.Mechanism {
	return &mechanism{now, explain}
}

type mechanism struct {
	now     func() Login
	explain func(error) error
}

// Name is the mechanism's.
func (m *mechanism) Name() string { return "GSSAPI" }

// Authenticate asks the KDC for a ticket for the broker, which it begins with.
func (m *mechanism) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	login := m.now()
	once := kerberos.Kerberos(func(context.Context) (kerberos.Auth, error) {
		opened, err := login.open()
		return kerberos.Auth{Client: opened, Service: login.Service}, err
	})
	session, first, err := once.Authenticate(ctx, host)
	if err != nil {
		return nil, nil, m.explain(err)
	}
	return session, first, nil
}

// open is a client of the KDC that has asked nothing yet.
func (l Login) open() (*client.Client, error) {
	path := os.Getenv("KRB5_CONFIG")
	if path == "" {
		path = "/etc/krb5.conf"
	}
	realms, err := config.Load(path)
	if unsupported := (config.UnsupportedDirective{}); err != nil && !errors.As(err, &unsupported) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	name, realm, _ := strings.Cut(l.Principal, "@")
	if realm == "" {
		realm = realms.LibDefaults.DefaultRealm
	}
	plain := client.DisablePAFXFAST(true) // Active Directory answers nothing else
	if l.Keytab == "" {
		return client.NewWithPassword(name, realm, l.Password, realms, plain), nil
	}
	keys, err := keytab.Load(l.Keytab)
	if err != nil {
		return nil, fmt.Errorf("read keytab %s: %w", l.Keytab, err)
	}
	return client.NewWithKeytab(name, realm, keys, realms, plain), nil
}
