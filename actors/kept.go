package actors

// kept holds the requests that a life has taken and not answered yet. Which of them were answered since is looked at as
// new ones come in, a few for each, which is bounded work per message.
//
// It bounds the list as well. With u unanswered and d answered ones in it, a look at all takes (u+d)/3 new ones, so no
// more than that are answered meanwhile, while the d are dropped: d stays below u.
type kept struct {
	requests []pending
	next     int // where looking goes on
}

const looksPerRequest = 4

func (k *kept) add(p pending) {
	for range looksPerRequest {
		k.lookAtNext()
	}
	k.requests = append(k.requests, p)
}

// lookAtNext drops the next request if nobody waits for it any more, by putting the last one into its place.
func (k *kept) lookAtNext() {
	if len(k.requests) == 0 {
		return
	}
	if k.next >= len(k.requests) {
		k.next = 0
	}
	if k.requests[k.next].waits() {
		k.next++
		return
	}
	last := len(k.requests) - 1
	k.requests[k.next] = k.requests[last]
	k.requests[last] = pending{}
	k.requests = k.requests[:last]
}

// fail answers all that still wait.
func (k *kept) fail(err error) {
	for _, p := range k.requests {
		p.fail(err)
	}
	k.requests = nil
}
