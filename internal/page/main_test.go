package page_test

import (
	"testing"

	"replicator/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }
