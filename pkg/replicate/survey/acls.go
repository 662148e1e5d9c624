package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ACL is one entry of a cluster's list, as KIP-290 has it.
type ACL struct {
	Principal, Host string
	Allow           bool
	Operation       kmsg.ACLOperation
	Resource        kmsg.ACLResourceType
	Name            string
	Prefixed        bool
}

// ErrOpen is what a cluster without an authorizer answers: everybody may do everything.
var ErrOpen = errors.New("the cluster has no authorizer")

// ACLs asks for all entries. The error is [ErrOpen] if there can be none.
func (c *Cluster) ACLs(ctx context.Context) ([]ACL, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	every := kadm.NewACLs().AnyResource().ResourcePatternType(kadm.ACLPatternAny).Operations(kadm.OpAny).
		Allow().AllowHosts().Deny().DenyHosts()
	results, err := c.admin.DescribeACLs(ctx, every)
	var list []ACL
	for _, r := range results {
		if r.Err != nil {
			err = r.Err
			continue
		}
		for _, d := range r.Described {
			one := ACL{d.Principal, d.Host, d.Permission == kmsg.ACLPermissionTypeAllow, d.Operation, d.Type, d.Name,
				d.Pattern == kmsg.ACLResourcePatternTypePrefixed}
			if !slices.Contains(list, one) {
				list = append(list, one)
			}
		}
	}
	if errors.Is(err, kerr.SecurityDisabled) {
		return nil, ErrOpen
	}
	return list, c.why(err, "Describe", "the cluster")
}

// Missing lists the source's entries that have no like on the target: by the target's
// names, in a fixed order, each once. name gives an entry as it is on the target, where it
// may be about a prefix though it was about a name, and whether it concerns the flow.
func Missing(source, target []ACL, name func(ACL) (ACL, bool)) []ACL {
	missing := []ACL{}
	for _, a := range source {
		want, concerned := name(a)
		covered := slices.ContainsFunc(target, func(have ACL) bool { return covers(have, want) })
		if concerned && !covered && !slices.Contains(missing, want) {
			missing = append(missing, want)
		}
	}
	slices.SortFunc(missing, func(a, b ACL) int { return strings.Compare(a.order(), b.order()) })
	return missing
}

func (a ACL) order() string {
	return fmt.Sprint(a.Principal, " ", a.Resource, " ", a.Name, " ", a.Prefixed, " ", a.Operation, " ", a.Allow, a.Host)
}

// covers says whether one entry gives (or denies) at least what another does.
func covers(have, want ACL) bool {
	switch {
	case have.Allow != want.Allow || have.Resource != want.Resource:
		return false
	case have.Principal != want.Principal && have.Principal != "User:*":
		return false
	case have.Host != want.Host && have.Host != "*":
		return false
	case have.Operation != want.Operation && have.Operation != kmsg.ACLOperationAll && !implies(have, want):
		return false
	case have.Prefixed:
		return strings.HasPrefix(want.Name, have.Name) && want.Name != "*"
	}
	return have.Name == "*" || have.Name == want.Name && !want.Prefixed
}

// implies: some rights hold others, which only holds for what is allowed.
func implies(have, want ACL) bool {
	if !have.Allow {
		return false
	}
	switch want.Operation {
	case kmsg.ACLOperationDescribe:
		return have.Operation == kmsg.ACLOperationRead || have.Operation == kmsg.ACLOperationWrite ||
			have.Operation == kmsg.ACLOperationDelete || have.Operation == kmsg.ACLOperationAlter
	case kmsg.ACLOperationDescribeConfigs:
		return have.Operation == kmsg.ACLOperationAlterConfigs
	}
	return false
}

// Command is what an operator types to add the entry.
func (a ACL) Command(bootstrap string) string {
	who := "deny"
	if a.Allow {
		who = "allow"
	}
	line := fmt.Sprintf("kafka-acls.sh --bootstrap-server %s --add --%s-principal %s", bootstrap, who, quoted(a.Principal))
	if a.Host != "*" {
		line += fmt.Sprintf(" --%s-host %s", who, quoted(a.Host))
	}
	line += " --operation " + operation(a.Operation)
	switch a.Resource {
	case kmsg.ACLResourceTypeTopic:
		line += " --topic " + quoted(a.Name)
	case kmsg.ACLResourceTypeGroup:
		line += " --group " + quoted(a.Name)
	case kmsg.ACLResourceTypeTransactionalId:
		line += " --transactional-id " + quoted(a.Name)
	case kmsg.ACLResourceTypeCluster:
		line += " --cluster"
	default:
		panic(fmt.Sprintf("an entry about %s has no command", a.Resource))
	}
	if a.Prefixed {
		line += " --resource-pattern-type prefixed"
	}
	return line
}

// quoted is a word for a shell.
func quoted(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:/@", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// operation is an operation as kafka-acls writes it.
func operation(o kmsg.ACLOperation) string {
	var name strings.Builder
	for _, word := range strings.Split(strings.ToLower(o.String()), "_") {
		if word != "" {
			name.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return name.String()
}
