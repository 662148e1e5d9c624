package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/sasl"

	"replicator/pkg/replicate/kafka/kerberos"
)

const gssapi = "GSSAPI"

// byTicket is the login by Kerberos, which franz-go has and librdkafka lacks as it is built here.
func byTicket(c Config) (sasl.Mechanism, error) {
	principal, file := c.Properties["sasl.kerberos.principal"], c.Properties["sasl.kerberos.keytab"]
	if principal == "" {
		return nil, c.notCarried("sasl.kerberos.principal", "give NAME@REALM, with sasl.kerberos.keytab or sasl.password",
			"is missing; sasl.mechanism GSSAPI needs it")
	}
	if file == "" && c.Properties["sasl.password"] == "" {
		return nil, c.notCarried("sasl.kerberos.keytab", "give it, or the principal's password with sasl.password",
			"is missing; sasl.mechanism GSSAPI needs one of both")
	}
	service := c.Properties["sasl.kerberos.service.name"]
	if service == "" {
		service = "kafka" // librdkafka's default
	}
	now := func() kerberos.Login {
		return kerberos.Login{Principal: principal, Keytab: file, Password: c.now().Properties["sasl.password"],
			Service: service}
	}
	return kerberos.Mechanism(now, func(err error) error {
		return &Problem{
			What: fmt.Sprintf("cluster %s: Kerberos gives %s no ticket for its brokers", c.Name, principal),
			Fix: fmt.Sprintf("check that the KDCs of the realm in krb5.conf (KRB5_CONFIG) can be reached, that %s is there and "+
				"the keytab or password of clusters.%s is its present one, that the brokers are there as %s/HOST under "+
				"the names that they advertise, and that clocks agree", principal, c.Name, service),
			Err: c.Conceal(err),
		}
	}), nil
}

// RecordLaneRefused is why librdkafka, and so the record lane, cannot reach the cluster; "": it can.
func RecordLaneRefused(c Config) string {
	if c.security().login != gssapi {
		return ""
	}
	return fmt.Sprintf("librdkafka, with which the record lane reads and writes, is built without Kerberos, and "+
		"sasl.mechanism of %s is GSSAPI", c.Name)
}
