package survey

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group is a group as its cluster lists and describes it.
type Group struct {
	Group   string   `json:"group"`
	Type    string   `json:"type"`  // classic, consumer (KIP-848), share, streams; connect and the like as classic
	State   string   `json:"state"` // as Stable or Empty
	Members int      `json:"members"`
	Clients []string `json:"clients"` // client ids and hosts of the members, each once
	// Carries: groups of this kind have positions that the flow carries. Not is why it has none.
	Carries bool   `json:"carried"`
	Not     string `json:"why_not_carried,omitempty"`
	Err     string `json:"error,omitempty"` // why its members are not known
}

// Active says whether somebody reads with it now.
func (g *Group) Active() bool {
	return g.Members > 0 || g.Err != "" && g.State != "Empty" && g.State != "Dead" && g.State != ""
}

// Groups lists all groups that the cluster shows; those for which about is true
// are described, by the question of their kind.
func (c *Cluster) Groups(ctx context.Context, about func(group string) bool) ([]Group, error) {
	listed, err := c.listGroups(ctx)
	var list []Group
	classic, newer := map[string]*Group{}, map[string]*Group{}
	for _, one := range listed {
		if about(one.Group) {
			list = append(list, one)
		}
	}
	for i := range list {
		g := &list[i]
		switch {
		case g.State == "Empty" || g.State == "Dead": // nobody to ask for
		case g.Type == "classic":
			classic[g.Group] = g
		case g.Type == "consumer":
			newer[g.Group] = g
		}
	}
	if len(classic) > 0 {
		c.describeClassic(ctx, classic, newer)
	}
	if len(newer) > 0 {
		c.describeConsumer(ctx, newer)
	}
	return list, err
}

func (c *Cluster) listGroups(ctx context.Context) ([]Group, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var list []Group
	var failed error
	for _, shard := range c.client.RequestSharded(ctx, kmsg.NewPtrListGroupsRequest()) {
		err := shard.Err
		answer, ok := shard.Resp.(*kmsg.ListGroupsResponse)
		if err == nil && ok {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err != nil || !ok {
			failed = err
			continue
		}
		for _, g := range answer.Groups {
			one := Group{Group: g.Group, Type: strings.ToLower(g.GroupType), State: g.GroupState, Clients: []string{}}
			one.classify(g.ProtocolType)
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Group) int { return strings.Compare(a.Group, b.Group) })
	return list, c.why(failed, "Describe", "the cluster")
}

// classify tells what kind of group it is: brokers before 3.8 name the protocol only.
func (g *Group) classify(protocol string) {
	if g.Type == "" {
		g.Type = "classic"
	}
	switch {
	case g.Type == "share":
		g.Not = "share groups keep no position that a consumer could go on from (KIP-932)"
	case g.Type == "streams":
		g.Not = "groups of the streams protocol are not carried (KIP-1071): their positions belong to state on brokers"
	case protocol == "" || protocol == "consumer":
		g.Carries = true
	default:
		g.Not = fmt.Sprintf("its protocol is %q: it commits no positions of consumers", protocol)
	}
}

// describeClassic fills in members; groups that turn out to be newer go there.
func (c *Cluster) describeClassic(ctx context.Context, groups, newer map[string]*Group) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	answers, err := c.admin.DescribeGroups(ctx, names...)
	for name, g := range groups {
		answer, ok := answers[name]
		switch {
		case !ok:
			g.Err = reason(c.why(err, "Describe", "group "+name))
		case answer.Err == kerr.GroupIDNotFound || answer.Err == nil && answer.State == "Dead":
			newer[name] = g // a broker that does not list the type
		case answer.Err != nil:
			g.Err = reason(c.why(answer.Err, "Describe", "group "+name))
		default:
			g.State = answer.State
			for _, m := range answer.Members {
				g.add(m.ClientID, m.ClientHost)
			}
		}
	}
}

func (c *Cluster) describeConsumer(ctx context.Context, groups map[string]*Group) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	answers, err := c.admin.DescribeConsumerGroups(ctx, names...)
	for name, g := range groups {
		answer, ok := answers[name]
		if ok {
			err = answer.Err
		}
		if !ok || err != nil {
			g.Err = reason(c.why(err, "Describe", "group "+name))
			continue
		}
		g.Type, g.State = "consumer", answer.State
		for _, m := range answer.Members {
			g.add(m.ClientID, m.ClientHost)
		}
	}
}

func (g *Group) add(client, host string) {
	g.Members++
	name := client + " on " + strings.TrimPrefix(host, "/")
	if !slices.Contains(g.Clients, name) {
		g.Clients = append(g.Clients, name)
		slices.Sort(g.Clients)
	}
}

func reason(err error) string {
	if err == nil {
		return "the cluster does not answer for it"
	}
	return err.Error()
}
