package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// errThrown is what foreign code panics with.
var errThrown = errors.New("thrown by what the user supplied")

// thrown is one panic: where, and in which call; 0: in none.
type thrown struct {
	place string
	key   int64
}

func (t thrown) Error() string        { return fmt.Sprintf("%v: %s of call %d", errThrown, t.place, t.key) }
func (t thrown) Is(target error) bool { return target == errThrown }

// callKey finds the key of a call in its context.
type callKey struct{}

func keyOf(ctx context.Context) int64 {
	key, _ := ctx.Value(callKey{}).(int64)
	return key
}

// mine is foreign code that panics now and then, at any of its places.
type mine struct {
	chance float64
	config poolactor.Config // of the row's pool
	mu     sync.Mutex
	passed map[string]int
	thrown map[string]int
	own    int                      // of these, panics in calls
	users  map[*pgconn.PgConn]int64 // the call that used a connection last
	failed int                      // calls that ended by a panic
	astray []string                 // those that ended by another call's
	calm   bool
}

func newMine(chance float64) *mine {
	return &mine{
		chance: chance, passed: make(map[string]int), thrown: make(map[string]int), users: make(map[*pgconn.PgConn]int64),
	}
}

// step passes a place that belongs to no call, or panics there.
func (m *mine) step(place string) { m.stepFor(place, 0) }

// stepFor passes a place in a call, or panics there.
func (m *mine) stepFor(place string, key int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed[place]++
	if !m.calm && rand.Float64() < m.chance {
		m.thrown[place]++
		if key != 0 {
			m.own++
		}
		panic(thrown{place, key})
	}
}

// uses notes which call uses a connection, for what is told about the connection alone.
func (m *mine) uses(key int64, on *pgconn.PgConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users[on] = key
}

func (m *mine) user(on *pgconn.PgConn) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.users[on]
}

// hit looks whose panic ended a call.
func (m *mine) hit(key int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var t thrown
	if !errors.As(err, &t) {
		return
	}
	m.failed++
	if t.key != key {
		m.astray = append(m.astray, fmt.Sprintf("call %d ended by: %v", key, t))
	}
}

// compare holds the calls that failed against the panics: one in a call fails that call alone, any other fails none.
func (m *mine) compare(x *Experiment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x.Note("%d panics in calls failed %d calls", m.own, m.failed)
	if m.failed > m.own {
		x.Fail("%d panics in calls failed %d calls", m.own, m.failed)
	}
	for _, astray := range m.astray {
		x.Fail("%s", astray)
	}
}

// rage lets it panic for its time, and until it has at each of these places, some of which chance may leave out. Then the
// callers end, and it is noted how often it panicked where.
func (m *mine) rage(ctx context.Context, x *Experiment, places ...string) {
	Pass(ctx, foreignFor)
	until(ctx, eventually, func() bool { return len(m.spared(places)) == 0 })
	m.mu.Lock()
	m.calm = true
	m.mu.Unlock()
	x.load.end()
	for _, place := range m.spared(places) {
		x.Fail("nothing panicked in %s", place)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var told []string
	for _, place := range slices.Sorted(maps.Keys(m.passed)) {
		told = append(told, fmt.Sprintf("%s %d of %d", place, m.thrown[place], m.passed[place]))
	}
	x.Note("panics: %s", strings.Join(told, ", "))
}

// spared are those of the places at which nothing has panicked yet.
func (m *mine) spared(places []string) (some []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, place := range places {
		if m.thrown[place] == 0 {
			some = append(some, place)
		}
	}
	return some
}

// tracer traces everything that pgx tells of calls.
type tracer struct{ mine *mine }

func (t tracer) TraceQueryStart(ctx context.Context, on *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	t.mine.uses(keyOf(ctx), on.PgConn())
	t.mine.stepFor("QueryTracer start", keyOf(ctx))
	return ctx
}

func (t tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	t.mine.stepFor("QueryTracer end", keyOf(ctx))
}

func (t tracer) TraceBatchStart(ctx context.Context, on *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	t.mine.uses(keyOf(ctx), on.PgConn())
	t.mine.stepFor("BatchTracer start", keyOf(ctx))
	return ctx
}

func (t tracer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchQueryData) {
	t.mine.stepFor("BatchTracer query", keyOf(ctx))
}

func (t tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) {
	t.mine.stepFor("BatchTracer end", keyOf(ctx))
}

func (t tracer) TraceCopyFromStart(ctx context.Context, on *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	t.mine.uses(keyOf(ctx), on.PgConn())
	t.mine.stepFor("CopyFromTracer start", keyOf(ctx))
	return ctx
}

func (t tracer) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromEndData) {
	t.mine.stepFor("CopyFromTracer end", keyOf(ctx))
}

func (t tracer) TracePrepareStart(ctx context.Context, on *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	t.mine.uses(keyOf(ctx), on.PgConn())
	t.mine.stepFor("PrepareTracer start", keyOf(ctx))
	return ctx
}

func (t tracer) TracePrepareEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareEndData) {
	t.mine.stepFor("PrepareTracer end", keyOf(ctx))
}

// leaseTracer traces everything that the pool tells of leases.
type leaseTracer struct{ mine *mine }

func (t leaseTracer) AcquireStart(ctx context.Context) context.Context {
	t.mine.stepFor("Tracer.AcquireStart", keyOf(ctx))
	return ctx
}

func (t leaseTracer) AcquireEnd(ctx context.Context, _ poolactor.AcquireEnd) {
	t.mine.stepFor("Tracer.AcquireEnd", keyOf(ctx))
}

func (t leaseTracer) Released(poolactor.Released) { t.mine.step("Tracer.Released") }

// dialTracer traces the opening of connections, besides leases.
type dialTracer struct {
	leaseTracer
	opening *mine
}

func (t dialTracer) DialEnd(poolactor.DialEnd) { t.opening.step("DialTracer.DialEnd") }

// newTracer is shown pools, each of which a call makes.
type newTracer struct {
	leaseTracer
	key int64
}

func (t newTracer) TracePool(*poolactor.Pool) error {
	t.mine.stepFor("PoolTracer.TracePool", t.key)
	return nil
}
