package wait

import "maps"

// Logged remembers what was logged last about each thing, for lines that are worth reading only when they say
// something else than the one before. Its zero value has logged nothing. It belongs to one goroutine.
type Logged[Thing comparable] struct{ last map[Thing]string }

// IsNews says whether text is not what was logged last about a thing, and remembers it: the caller logs it then.
func (l *Logged[Thing]) IsNews(about Thing, text string) bool {
	if before, known := l.last[about]; known && before == text {
		return false
	}
	if l.last == nil {
		l.last = map[Thing]string{}
	}
	l.last[about] = text
	return true
}

// Over forgets a thing, and says whether something was logged about it: that it is over is news then.
func (l *Logged[Thing]) Over(about Thing) bool {
	_, known := l.last[about]
	delete(l.last, about)
	return known
}

// Keep forgets all things but those: what is not there, or somebody else's to tell of, is not over.
func (l *Logged[Thing]) Keep(those func(Thing) bool) {
	maps.DeleteFunc(l.last, func(about Thing, _ string) bool { return !those(about) })
}
