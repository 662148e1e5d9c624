package chunk

// Progress is how far a one-off copy is.
type Progress struct {
	Records, Bytes int64 // copied by this process
	Done, Goal     int64 // source offsets passed since the start, and to be passed in all
}

// Plus adds what another one counts.
func (p Progress) Plus(q Progress) Progress {
	return Progress{p.Records + q.Records, p.Bytes + q.Bytes, p.Done + q.Done, p.Goal + q.Goal}
}
