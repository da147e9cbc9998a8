package poolactor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// diary is a tracer that takes down what it is told.
type diary struct {
	mu    sync.Mutex
	name  string
	lines *[]string // common to several
	shown *Pool
	dials []DialEnd
	full  error // what it says to a pool
	throw string
}

type diaryKey struct{}

func (d *diary) write(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*d.lines = append(*d.lines, d.name+" "+what)
	if d.throw == what {
		panic(d.name)
	}
}

func (d *diary) AcquireStart(ctx context.Context) context.Context {
	d.write(fmt.Sprintf("start after %v", ctx.Value(diaryKey{})))
	return context.WithValue(ctx, diaryKey{}, d.name)
}

func (d *diary) AcquireEnd(ctx context.Context, end AcquireEnd) {
	d.write(fmt.Sprintf("end as %v, lease: %v, error: %v", ctx.Value(diaryKey{}), end.PID != 0, end.Err != nil))
}

func (d *diary) Released(r Released) { d.write("released " + r.Label) }

func (d *diary) TracePool(p *Pool) error {
	d.shown = p
	return d.full
}

func (d *diary) DialEnd(end DialEnd) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dials = append(d.dials, end)
}

// dialled are the dials so far.
func (d *diary) dialled() []DialEnd {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.dials)
}

// reserved is a diary that wants to know of leases only.
type reserved struct{ Tracer }

func TestTracersAreToldInOrder(t *testing.T) {
	var lines []string
	first, second, third := &diary{name: "first", lines: &lines}, &diary{name: "second", lines: &lines}, &diary{name: "third", lines: &lines}
	all := Tracers(nil, first, Tracers(reserved{second}, third))
	inMemory(t, func(c *Config) { c.Tracer = all }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		l, err := p.Acquire(WithLabel(t.Context(), "report"))
		require.NoError(t, err)
		l.Release()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = p.Acquire(over)
		require.ErrorIs(t, err, context.Canceled)
		require.Same(t, p, first.shown)
		require.Nil(t, second.shown)
		require.Same(t, p, third.shown)
		require.Len(t, first.dialled(), 1)
		require.Empty(t, second.dialled())
		require.Len(t, third.dialled(), 1)
	})
	require.Equal(t, []string{
		"first start after <nil>", "second start after first", "third start after second",
		"third end as third, lease: true, error: false", "second end as second, lease: true, error: false",
		"first end as first, lease: true, error: false",
		"third released report", "second released report", "first released report",
		"first start after <nil>", "second start after first", "third start after second",
		"third end as third, lease: false, error: true", "second end as second, lease: false, error: true",
		"first end as first, lease: false, error: true",
	}, lines)
}

func TestOfNoneAndOneTracerNothingIsMade(t *testing.T) {
	require.Nil(t, Tracers())
	require.Nil(t, Tracers(nil, nil))
	one := &diary{}
	require.Same(t, one, Tracers(nil, one))
}

func TestATracerThatPanicsKeepsNoOtherFromBeingTold(t *testing.T) {
	var lines []string
	thrower := &diary{name: "thrower", lines: &lines, throw: "end as thrower, lease: true, error: false"}
	other := &diary{name: "other", lines: &lines}
	inMemory(t, func(c *Config) { c.Tracer = Tracers(other, thrower) }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		_, err := p.Acquire(t.Context())
		require.ErrorContains(t, err, "thrower")
		require.Contains(t, lines, "other end as other, lease: true, error: false")
		require.Contains(t, lines, "other released ", "the lease was given back")
		require.Zero(t, p.Stat().Leased)
	})
}

func TestAPoolIsNotMadeWithATracerThatObjects(t *testing.T) {
	taken := errors.New("taken")
	server := fakepg.New()
	defer server.Close()
	cfg := fakeConfig(server)
	cfg.Tracer = Tracers(&diary{full: taken}, &diary{})
	_, err := New(cfg)
	require.ErrorIs(t, err, taken)
	require.ErrorContains(t, err, "Config.Tracer")
}

func TestDialsAreToldByTheirOutcome(t *testing.T) {
	var lines []string
	for outcome, c := range map[DialOutcome]struct {
		code          string
		refused, wait int64
	}{
		DialRefused:     {"28P01", 1, 0},
		DialDeferred:    {"53300", 0, 1},
		DialUnreachable: {"", 0, 0},
	} {
		t.Run(string(outcome), func(t *testing.T) {
			d := &diary{lines: &lines}
			inMemory(t, func(c *Config) { c.Tracer = d }, func(t *testing.T, p *Pool, server *fakepg.Server) {
				if server.Refuse(c.code, "no"); c.code == "" {
					server.Stop()
				}
				_, err := p.Acquire(within(t, 50*time.Millisecond))
				require.Error(t, err)
				synctest.Wait()
				dials, st := d.dialled(), p.Stat()
				require.NotEmpty(t, dials)
				require.Equal(t, outcome, dials[0].Outcome)
				require.ErrorIs(t, dials[0].Err, st.Outage.Cause)
				require.Equal(t, c.refused > 0, st.DialsRefused > 0)
				require.Equal(t, c.wait > 0, st.DialsDeferred > 0)
				require.Equal(t, int64(len(dials)), st.DialsFailed)
				require.EqualValues(t, 1, st.Outages)
				require.Zero(t, st.OutageTime, "it is not over")

				server.Refuse("", "")
				server.Start()
				server.Delay(10 * time.Millisecond)
				pass(2 * time.Second) // a refusal holds for a moment
				_, err = p.Exec(within(t, 10*time.Second), "select 1")
				require.NoError(t, err)
				dials = d.dialled()
				last := dials[len(dials)-1]
				require.Equal(t, DialOpened, last.Outcome)
				require.NoError(t, last.Err)
				require.NotZero(t, last.PID)
				require.GreaterOrEqual(t, last.Took, 10*time.Millisecond)
				st = p.Stat()
				require.EqualValues(t, 1, st.Outages)
				require.Positive(t, st.OutageTime)
			})
		})
	}
}
