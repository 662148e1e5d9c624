package settings

// Lane says how records travel.
type Lane string

const (
	// LaneAuto is LaneBatch wherever nothing needs single records.
	LaneAuto Lane = "auto"
	// LaneBatch moves whole batches as they are stored, without decompressing them.
	LaneBatch Lane = "batch"
	// LaneRecord takes batches apart and writes every record anew.
	LaneRecord Lane = "record"
)

// LaneInUse is LaneBatch or LaneRecord, and why it is that one.
func (c *Config) LaneInUse() (Lane, string) {
	switch {
	case c.Lane == LaneRecord:
		return LaneRecord, "configured"
	case c.Lane == LaneBatch:
		return LaneBatch, "configured"
	case c.Delivery == AtLeastOnce:
		return LaneRecord, "delivery is at_least_once"
	}
	return LaneBatch, "nothing needs single records"
}
