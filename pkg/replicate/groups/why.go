package groups

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/kafka"
)

// CoordinatorEvery spaces the tries until a group has a coordinator.
const CoordinatorEvery = 200 * time.Millisecond

// NoCoordinatorYet says that a group will have a coordinator: a new cluster makes its offsets
// topic when it is first asked for a group, and one that was just started loads it.
func NoCoordinatorYet(err error) bool {
	return errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) ||
		errors.Is(err, kerr.NotCoordinator)
}

// Members are who is in a group; none where it is not there.
func Members(ctx context.Context, client *kgo.Client, cluster kafka.Config, group string) (
	[]kadm.DescribedGroupMember, error) {
	described, err := kadm.NewClient(client).DescribeGroups(ctx, group)
	if err == nil {
		err = described[group].Err
	}
	if err != nil {
		return nil, WhyNone(cluster, group, err)
	}
	return described[group].Members, nil
}

// WhyNone explains an answer about the group; a group that is not there is no error.
func WhyNone(cluster kafka.Config, group string, err error) error {
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return nil
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return cluster.Denied("Describe", "group "+group, err)
	}
	return fmt.Errorf("describe group %s: %w", group, cluster.Explain(err))
}
