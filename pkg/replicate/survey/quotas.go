package survey

import (
	"context"
	"slices"
)

// Quota is what an entity is limited to, on each broker (KIP-546).
type Quota struct {
	// User and Client name the entity; nil: the part is not in it, "" its default.
	User, Client *string
	Values       map[string]float64
}

// Quotas asks for all quotas of users and client ids.
func (c *Cluster) Quotas(ctx context.Context) ([]Quota, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	answers, err := c.admin.DescribeClientQuotas(ctx, false, nil)
	var list []Quota
	for _, a := range answers {
		one, other := Quota{Values: map[string]float64{}}, false
		for _, part := range a.Entity {
			name := ""
			if part.Name != nil {
				name = *part.Name
			}
			switch part.Type {
			case "user":
				one.User = &name
			case "client-id":
				one.Client = &name
			default:
				other = true // limits on addresses are on connections
			}
		}
		for _, v := range a.Values {
			one.Values[v.Key] = v.Value
		}
		if !other {
			list = append(list, one)
		}
	}
	return list, c.why(err, "DescribeConfigs", "the cluster")
}

// Limit is the value of a key that holds for a user and a client id: that of the
// most special entity that has one, in the order of Kafka's documentation.
func Limit(quotas []Quota, key, user, client string) (value float64, of Quota, found bool) {
	best := len(order)
	for _, q := range quotas {
		v, has := q.Values[key]
		rank := slices.IndexFunc(order, func(o [2]part) bool {
			return o[0].is(q.User, user) && o[1].is(q.Client, client)
		})
		if has && rank >= 0 && rank < best {
			best, value, of, found = rank, v, q, true
		}
	}
	return value, of, found
}

// part is how an entity may name a user or a client id.
type part int

const (
	none part = iota
	byName
	byDefault
)

// order has the entities that may hold, the most special one first: user and client.
var order = [][2]part{
	{byName, byName}, {byName, byDefault}, {byName, none}, {byDefault, byName}, {byDefault, byDefault}, {byDefault, none},
	{none, byName}, {none, byDefault},
}

func (p part) is(given *string, name string) bool {
	switch p {
	case none:
		return given == nil
	case byName:
		return given != nil && *given == name && name != ""
	}
	return given != nil && *given == ""
}

// Entity says whom a quota is for, as kafka-configs names it.
func (q Quota) Entity() string {
	text := ""
	for _, e := range []struct {
		kind string
		name *string
	}{{"user", q.User}, {"client id", q.Client}} {
		if e.name == nil {
			continue
		}
		if text != "" {
			text += ", "
		}
		if *e.name == "" {
			text += "every " + e.kind
		} else {
			text += e.kind + " " + *e.name
		}
	}
	return text
}
