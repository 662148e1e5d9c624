package repartition

import (
	"testing"

	"replicator/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }
