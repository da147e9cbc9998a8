package lab

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// stepsInRound is how many faults hit the server in one round of a soak.
const stepsInRound = 4

const endless = math.MaxInt

// deed is one thing that is done to a pool, or to what it depends on.
type deed struct {
	pause time.Duration // before it
	what  string
	// do returns when it is over and what it broke works again. Errors are about the laboratory.
	do func(ctx context.Context, b *bout) error
}

// lane is steps of one kind, which come one after the other. Lanes run beside each other.
type lane struct {
	least, most time.Duration             // the pause between two steps
	kinds       []func(r *rand.Rand) deed // what there is to do; one after the other, shuffled each time around
}

// lanes are all of them; the first is the server's. The numbers of the others are part of what a seed means.
var lanes = []lane{
	{100 * time.Millisecond, time.Second, serverSteps},
	{100 * time.Millisecond, 2 * time.Second, operatorSteps},
	{0, 200 * time.Millisecond, callerSteps},
	{time.Second, 2 * time.Second, crashSteps},
}

// plan is the steps of one lane in one round. They follow from the seed and the round, whatever happens meanwhile.
type plan struct {
	lane
	chance *rand.Rand
	hand   []func(*rand.Rand) deed // kinds that are still to come this time around
}

func newPlan(seed uint64, round, of int) *plan {
	return &plan{lane: lanes[of], chance: rand.New(rand.NewPCG(seed, uint64(round*len(lanes)+of)))}
}

func (p *plan) next() deed {
	if len(p.kinds) == 0 {
		return deed{pause: eventually, what: "nothing", do: func(context.Context, *bout) error { return nil }}
	}
	if len(p.hand) == 0 {
		for _, i := range p.chance.Perm(len(p.kinds)) {
			p.hand = append(p.hand, p.kinds[i])
		}
	}
	kind := p.hand[0]
	p.hand = p.hand[1:]
	pause := between(p.chance, p.least, p.most)
	s := kind(p.chance)
	s.pause = pause
	return s
}

// between is a time that chance chooses, in milliseconds.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(r.Int64N(int64(most-least)+1))).Truncate(time.Millisecond)
}

// pick is one of several.
func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }
