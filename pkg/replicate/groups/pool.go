package groups

import (
	"context"
	"sync"
	"time"
)

// fresh is how old a look may be when a group is written. Translating can take
// longer, and so can the groups before it.
const fresh = 50 * time.Millisecond

// pool writes several groups at once. A group belongs to the goroutine that writes
// it until wait returns.
type pool struct {
	target *target
	ctx    context.Context // of the round; the pool does not outlive it
	looked time.Time       // when the target was read
	work   chan *group     // without room: a new goroutine starts only if all are busy
	size   int
	done   sync.WaitGroup
}

func newPool(ctx context.Context, t *target, looked time.Time) *pool {
	return &pool{target: t, ctx: ctx, looked: looked, work: make(chan *group)}
}

// give hands a group to a goroutine that has nothing to do, or to a new one.
func (p *pool) give(one *group) {
	select {
	case p.work <- one:
		return
	default:
	}
	if p.size < maxWriters {
		client, err := p.target.writer(p.size)
		if err != nil {
			p.target.refuse(one, err)
			return
		}
		p.size++
		p.done.Go(func() {
			for next := range p.work {
				if time.Since(p.looked) > fresh {
					p.target.lookAgain(p.ctx, client, next)
				}
				p.target.write(p.ctx, client, next)
			}
		})
	}
	p.work <- one
}

// wait returns when all that was given has been written.
func (p *pool) wait() {
	close(p.work)
	p.done.Wait()
}
