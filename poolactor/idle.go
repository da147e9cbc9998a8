package poolactor

import (
	"context"
	"time"
)

// This file leases what nobody uses, for packages of this module whose users want to look after idle connections. Such a
// lease is no call that waits: nothing is dialled for it, and whoever does wait goes first.

// idleLook is how often it is looked whether something is idle that is on its way to ready, or in a check.
const idleLook = time.Millisecond

// leaseAllIdle leases every connection that nobody uses now, as far as the gate and the check policy allow. It waits for
// what is being checked or cleaned, for as long as a check may take, and for nothing else.
func (p *Pool) leaseAllIdle(ctx context.Context) (leases []*Lease) {
	asked := ctx
	ctx, cancel := context.WithTimeout(ctx, p.checkBound())
	defer cancel()
	look := time.NewTicker(idleLook)
	defer look.Stop()
	for most := int(p.maxSize.Load()); len(leases) < most && p.anyIdle() && ctx.Err() == nil; {
		p.demandMore() // the actor keeps one on offer, if nobody waits for it
		t := p.takeHot()
		if t == nil {
			select {
			case t = <-p.ready:
			case <-look.C:
				continue
			case <-ctx.Done():
				return leases
			}
		}
		if l := p.leaseOffered(ctx, asked, t); l != nil {
			leases = append(leases, l)
		}
	}
	return leases
}

// leaseOffered leases a connection that was on offer, if it may be handed out.
func (p *Pool) leaseOffered(ctx, asked context.Context, t *token) *Lease {
	gen, ok := t.claim()
	p.chain()
	now := p.now()
	if !ok || p.vet(ctx, t, gen, now, false) != accepted {
		return nil
	}
	return p.grant(asked, t, gen, now)
}

// anyIdle tells whether there is a connection that nobody uses or waits for, and that stays.
func (p *Pool) anyIdle() bool {
	if !p.gate.Load().open() || p.waiting.Load() > 0 {
		return false
	}
	for _, s := range p.all() {
		if w := s.word.Load(); w.state().in(unleased) && !w.has(flagRetire) {
			return true
		}
	}
	return false
}
