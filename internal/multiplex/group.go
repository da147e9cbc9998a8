package multiplex

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// ErrElsewhere says that nothing was done, or nothing that must not be done twice: the statement is to run on a connection
// of its own.
var ErrElsewhere = errors.New("multiplex: the statement is to run on a connection of its own")

// Connection is one that was lent to a group.
type Connection interface {
	// Stream is where whole messages are written to, and where the server's are read from.
	Stream() io.ReadWriter
	// Types are those that the connection knows.
	Types() *pgtype.Map
	// Wanted tells whether whoever lent the connection wants it back. Any goroutine may ask.
	Wanted() bool
	// Notice is told what the server wants a person to know.
	Notice(*pgconn.Notice)
	// Refused is told of errors of the server, which may say something about it.
	Refused(*pgconn.PgError)
	// Sever closes the socket. Any goroutine may call it, more than once.
	Sever()
	// Return gives the connection back. An error says why it can serve nobody any more.
	Return(error)
}

// Config says where a group gets its connections, and how many.
type Config struct {
	// Open lends a connection. It waits for one, and returns when the pool ends.
	Open func() (Connection, error)
	// Go runs something in a goroutine that the end of the pool waits for; false: it has ended.
	Go func(func()) bool
	// Most is how many connections the group may have now.
	Most func() int
	// Crowded tells whether others wait for connections.
	Crowded func() bool
	// Panicked is told of panics.
	Panicked func(error)
}

const (
	// shareFrom is how many callers there must be at once for a statement to go to a lane, and for the first lane to be opened.
	// Fewer are served quicker by a connection for each.
	shareFrom = 4
	// perLane is how many callers each further lane needs.
	perLane = 4
)

// Group is the queue, and the lanes that work it off. It needs no closing: its lanes end when their connections are wanted
// back. All methods may be called from any goroutine.
type Group struct {
	cfg      Config
	texts    Texts
	callers  atomic.Int64
	types    atomic.Pointer[types]
	requests sync.Pool

	open    atomic.Int64 // lanes that take statements
	opening atomic.Bool
	closed  atomic.Int64 // when a lane could not be opened last, so that it is not tried all the time
	length  atomic.Int64 // of the queue

	mu      sync.Mutex
	queue   queue
	lanes   []*lane
	keeping bool
	total   int64 // requests that were answered by lanes which have ended
}

// New makes a group without lanes.
func New(cfg Config) *Group { return &Group{cfg: cfg} }

// types is what the connections know of types: copied, because a map serves one goroutine at a time.
type types struct{ template *pgtype.Map }

func newTypes(of *pgtype.Map) *types {
	m := of.Copy()
	m.TryWrapEncodePlanFuncs = of.TryWrapEncodePlanFuncs
	m.TryWrapScanPlanFuncs = of.TryWrapScanPlanFuncs
	return &types{m}
}

func (t *types) newMap() *pgtype.Map {
	m := t.template.Copy()
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc(nil), t.template.TryWrapEncodePlanFuncs...)
	m.TryWrapScanPlanFuncs = append([]pgtype.TryWrapScanPlanFunc(nil), t.template.TryWrapScanPlanFuncs...)
	return m
}

// request gives out one that nobody uses.
func (g *Group) request() *request {
	r, _ := g.requests.Get().(*request)
	if r == nil {
		r = &request{done: make(chan struct{}, 1)}
	}
	if t := g.types.Load(); r.kit == nil || r.kit.types != t {
		r.kit = &kit{types: t, m: t.newMap()}
	}
	return r
}

func (g *Group) recycle(r *request) {
	r.reset()
	g.requests.Put(r)
}

// Answered is how many requests were answered so far.
func (g *Group) Answered() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.total
	for _, l := range g.lanes {
		n += l.answers.Load()
	}
	return n
}

// Text looks at the text of a statement; what it says of a text is the same as long as the text is in use.
func (g *Group) Text(sql string) *Text { return g.texts.Of(sql) }

// Enter counts a caller, and Leave counts it off; every statement is between the two, wherever it runs. Enter tells whether
// there are others to share with.
func (g *Group) Enter() bool { return g.callers.Add(1) >= shareFrom }

// Leave counts a caller off.
func (g *Group) Leave() { g.callers.Add(-1) }

// pauseAfterFailure is how long a group without lanes waits after one could not be opened.
const pauseAfterFailure = 100 * time.Millisecond

// openFirst opens a lane for a statement that would share if there were one.
func (g *Group) openFirst() {
	if g.opening.Load() {
		return
	}
	if at := g.closed.Load(); at != 0 && time.Now().UnixNano()-at < int64(pauseAfterFailure) {
		return
	}
	if most := g.cfg.Most(); most < 1 || g.size() >= most { // all of them may be stuck, and have their connections still
		return
	}
	g.openLane()
}

// size is how many lanes there are, whether they take statements or not.
func (g *Group) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.lanes)
}

// openLane opens one lane beside its caller, unless that is being done already.
func (g *Group) openLane() {
	if !g.opening.CompareAndSwap(false, true) {
		return
	}
	if !g.cfg.Go(g.serve) {
		g.opening.Store(false)
		g.closed.Store(time.Now().UnixNano())
	}
}

// serve is the life of one lane.
func (g *Group) serve() {
	c, err := g.cfg.Open()
	if err != nil {
		g.closed.Store(time.Now().UnixNano())
		g.opening.Store(false)
		return
	}
	g.closed.Store(0)
	l := newLane(g, c)
	g.types.Store(newTypes(c.Types()))
	g.join(l)
	g.opening.Store(false)
	l.run()
}

// join makes a lane one of the group's, and starts the keeper with the first.
func (g *Group) join(l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lanes = append(g.lanes, l)
	g.open.Add(1)
	if !g.keeping {
		g.keeping = g.cfg.Go(g.keep)
	}
	if !g.keeping {
		g.stop(l) // it is the end, and nobody would ask whether the connection is wanted back
	}
}

// enqueue puts a request into the queue; false: no lane would take it.
func (g *Group) enqueue(r *request) bool {
	g.mu.Lock()
	if g.open.Load() == 0 {
		g.mu.Unlock()
		return false
	}
	g.queue.push(r)
	g.length.Store(int64(g.queue.size))
	l := g.idlest(nil)
	g.mu.Unlock()
	if l != nil {
		l.kick()
	}
	return true
}

// idlest is the lane with the least to do among those whose writers rest and that have room, but for one. It needs mu.
func (g *Group) idlest(but *lane) *lane {
	var best *lane
	least := 0
	for _, l := range g.lanes {
		if l == but || !l.parked.Load() {
			continue
		}
		if n := int(l.underWay.Load()); l.room(n) > 0 && (best == nil || n < least) {
			best, least = l, n
		}
	}
	return best
}

// take gives a lane what it is to write next: from the front of the queue, as much as its window allows, and no more than its
// fair share.
func (g *Group) take(l *lane, batch []*request) []*request {
	g.mu.Lock()
	n := min(l.room(int(l.underWay.Load())), g.share(l))
	for n > 0 && g.queue.size > 0 {
		if r := g.queue.pop(); r.swap(queued, sent) {
			batch = append(batch, r)
			n--
		}
	}
	l.underWay.Add(int64(len(batch)))
	g.length.Store(int64(g.queue.size))
	var other *lane
	if g.queue.size > 0 {
		other = g.idlest(l)
	}
	g.mu.Unlock()
	if other != nil {
		other.kick()
	}
	return batch
}

// share is how many more statements a lane may take so that all have the same. It needs mu.
func (g *Group) share(l *lane) int {
	total, lanes := g.queue.size, 0
	for _, other := range g.lanes {
		if other.taking() {
			total += int(other.underWay.Load())
			lanes++
		}
	}
	if lanes == 0 {
		return 0
	}
	return (total+lanes-1)/lanes - int(l.underWay.Load())
}

// putBack returns what a lane has not done to the front of the queue, in its order, or tells it to go elsewhere.
func (g *Group) putBack(requests []*request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(requests) - 1; i >= 0; i-- {
		r := requests[i]
		r.rewind()
		if r.swap(sent, queued) {
			g.queue.pushFront(r)
		}
	}
	g.settle()
}

// leave takes a lane out of the group's.
func (g *Group) leave(l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop(l)
	for i := range g.lanes {
		if g.lanes[i] == l {
			g.lanes = append(g.lanes[:i], g.lanes[i+1:]...)
			g.total += l.answers.Load()
			break
		}
	}
	g.settle()
}

// stop makes a lane take nothing more. It needs mu.
func (g *Group) stop(l *lane) {
	if l.state.CompareAndSwap(laneOpen, laneEnding) {
		g.open.Add(-1)
	} else {
		l.state.Store(laneEnding)
	}
	g.settle()
}

// settle sends everything elsewhere when no lane is open. It needs mu.
func (g *Group) settle() {
	if g.open.Load() == 0 {
		for g.queue.size > 0 {
			g.queue.pop().move()
		}
	}
	g.length.Store(int64(g.queue.size))
	for _, l := range g.lanes {
		l.kick()
	}
}

// submit hands a request over and waits until it is answered. After an error the request is nobody's any more, or it is the
// caller's again, as the second result says.
func (g *Group) submit(ctx context.Context, r *request) (mine bool, err error) {
	if err := ctx.Err(); err != nil {
		return true, err
	}
	if !g.enqueue(r) {
		return true, ErrElsewhere
	}
	if done := ctx.Done(); done == nil {
		<-r.done
	} else {
		select {
		case <-r.done:
		case <-done:
			if left, err := r.giveUp(ctx); left {
				return false, err
			}
		}
	}
	if r.moved {
		return true, ErrElsewhere
	}
	return true, nil
}

// giveUp leaves a request behind, unless the answer was quicker.
func (r *request) giveUp(ctx context.Context) (bool, error) {
	for {
		switch {
		case r.swap(queued, abandoned):
			return true, ctx.Err()
		case r.swap(sent, abandoned):
			return true, &LostError{Sent: true, Err: ctx.Err()}
		case r.is(answered):
			<-r.done
			return false, nil
		}
	}
}

// LostError says that a statement was sent, and that nobody knows what became of it.
type LostError struct {
	Sent bool // its caller has left; it runs to its end
	Err  error
}

func (e *LostError) Error() string { return "multiplex: outcome unknown: " + e.Err.Error() }

// Unwrap gives what was in the way.
func (e *LostError) Unwrap() error { return e.Err }
