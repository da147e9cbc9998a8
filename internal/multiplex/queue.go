package multiplex

// queue is first in, first out, but what comes back from a lost lane goes before all others. The zero value is empty.
type queue struct {
	ring  []*request // its length is a power of two, or 0
	first int
	size  int
}

func (q *queue) at(i int) int { return (q.first + i) & (len(q.ring) - 1) }

func (q *queue) push(r *request) {
	q.grow()
	q.ring[q.at(q.size)] = r
	q.size++
}

func (q *queue) pushFront(r *request) {
	q.grow()
	q.first = q.at(-1)
	q.ring[q.first] = r
	q.size++
}

// pop takes the first; there must be one.
func (q *queue) pop() *request {
	r := q.ring[q.first]
	q.ring[q.first] = nil
	q.first = q.at(1)
	q.size--
	return r
}

func (q *queue) grow() {
	if q.size < len(q.ring) {
		return
	}
	ring := make([]*request, max(64, 2*len(q.ring)))
	for i := range q.size {
		ring[i] = q.ring[q.at(i)]
	}
	q.ring, q.first = ring, 0
}
