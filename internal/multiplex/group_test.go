package multiplex

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	reading   = "select a from t"
	inserting = "insert into t values (1) returning a"
	sleepy    = "select pg_sleep(1)"
)

func TestEachGetsItsOwnAnswer(t *testing.T) {
	inMemory(t, 2, func(t *testing.T, g *Group, m *memory) {
		var group sync.WaitGroup
		for caller := range 40 {
			group.Go(func() {
				sql := fmt.Sprintf("select %d", caller)
				want := answer{rows: 1}
				switch caller % 4 {
				case 1:
					want = answer{refuses: "22012"}
				case 2:
					want = answer{rows: 1, atEnd: "23503"}
				}
				m.on(sql, want)
				for range 5 {
					got, err := texts(t.Context(), g, one(g, sql), Options{})
					if want.refuses+want.atEnd != "" {
						assert.Equal(t, want.refuses+want.atEnd, code(t, err), "of %s", sql)
						continue
					}
					assert.NoError(t, err)
					assert.Equal(t, []string{sql}, got)
				}
			})
		}
		group.Wait()
		require.Equal(t, 200+40, m.syncs, "one for each statement, and one for each description")
		for caller := range 40 {
			require.LessOrEqual(t, m.prepared(fmt.Sprintf("select %d", caller)), len(m.wires()), "once on each lane")
		}
	})
}

// An outcome is known when the server is ready for the next statement, and not before.
func TestAnOutcomeIsFinalOnlyWhenTheServerIsReady(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		m.on(inserting, answer{rows: 1, atEnd: "23503"})
		_, err := g.Exec(t.Context(), one(g, inserting), Options{})
		require.Equal(t, "23503", code(t, err))
		got, err := texts(t.Context(), g, one(g, inserting), Options{})
		require.Equal(t, "23503", code(t, err))
		require.Len(t, got, 1)
		require.Equal(t, 2, m.count(inserting), "nobody sends it again")
		require.Positive(t, m.wires()[0].refused.Load(), "the connection's owner hears of it")
	})
}

// A statement that leaves its transaction open ends its lane, and nothing is known of it.
func TestAnOpenTransactionEndsItsLane(t *testing.T) {
	for _, state := range []byte{'T', 'E'} {
		inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
			m.on(inserting, answer{leaves: state})
			_, err := g.Exec(t.Context(), one(g, inserting), Options{})
			var lost *LostError
			require.ErrorAs(t, err, &lost)
			require.False(t, lost.Sent)
			require.ErrorIs(t, err, errTransaction)
			require.ErrorIs(t, <-m.wires()[0].returned, errTransaction)
		})
	}
}

// What was sent is lost with its lane, unless it may run twice; it runs once here in any case.
func TestTheLossOfALane(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		_, err := g.Exec(t.Context(), one(g, inserting), Options{})
		require.NoError(t, err)
		m.on(inserting, answer{dies: true})
		_, err = g.Exec(t.Context(), one(g, inserting), Options{})
		var lost *LostError
		require.ErrorAs(t, err, &lost)
		require.Equal(t, 2, m.count(inserting))
	})
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		m.on(inserting, answer{dies: true})
		_, err := g.Exec(t.Context(), one(g, inserting), Options{Idempotent: true})
		require.ErrorIs(t, err, ErrElsewhere)
		require.Equal(t, 1, m.count(inserting))
	})
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) { // reading is no licence
		m.on(reading, answer{dies: true})
		_, err := g.Exec(t.Context(), one(g, reading), Options{})
		var lost *LostError
		require.ErrorAs(t, err, &lost)
	})
}

// What was not written when its lane was lost goes to another lane, in its order and before all others.
func TestTheUnwrittenGoesToAnotherLane(t *testing.T) {
	inMemory(t, 2, func(t *testing.T, g *Group, m *memory) {
		_, err := g.Exec(t.Context(), one(g, inserting), Options{})
		require.NoError(t, err)
		for range 8 { // callers enough for a second lane
			g.Enter()
		}
		time.Sleep(3 * keepEvery)
		require.Len(t, m.wires(), 2)
		m.wires()[0].deaf.Store(true)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				_, err := g.Exec(t.Context(), one(g, inserting), Options{})
				assert.NoError(t, err)
			})
		}
		group.Wait()
		require.Equal(t, 21, m.count(inserting))
		require.Error(t, <-m.wires()[0].returned)
		for range 8 {
			g.Leave()
		}
	})
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) { // without another, it goes elsewhere
		_, err := g.Exec(t.Context(), one(g, inserting), Options{})
		require.NoError(t, err)
		m.wires()[0].deaf.Store(true)
		_, err = g.Exec(t.Context(), one(g, inserting), Options{})
		require.ErrorIs(t, err, ErrElsewhere)
	})
}

// Of what was written in part, nobody knows what the server makes.
func TestTheWrittenInPartIsLost(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		_, err := g.Exec(t.Context(), one(g, inserting), Options{})
		require.NoError(t, err)
		m.wires()[0].cut.Store(true)
		_, err = g.Exec(t.Context(), one(g, inserting), Options{})
		var lost *LostError
		require.ErrorAs(t, err, &lost)
	})
}

// What a lost lane had taken is first in the queue again, in its order; who has left meanwhile is not.
func TestWhatIsPutBackKeepsItsPlace(t *testing.T) {
	g := New(Config{})
	g.open.Store(1)
	all := underWay(4)
	behind := &request{}
	g.queue.push(behind)
	all[1].condition.Store(uint32(abandoned))
	g.putBack(all)
	for _, want := range []*request{all[0], all[2], all[3], behind} {
		require.Same(t, want, g.queue.pop())
		require.True(t, want.is(queued))
	}
	require.Zero(t, g.queue.size)
}

func TestAnEndedContextQueuesNothing(t *testing.T) {
	g := New(Config{})
	g.open.Store(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mine, err := g.submit(ctx, &request{done: make(chan struct{}, 1)})
	require.True(t, mine)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, g.queue.size)
}

func TestWhoeverGivesUpLeavesNothingBehind(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		_, err := g.Exec(t.Context(), one(g, sleepy), Options{})
		require.NoError(t, err)
		_, err = g.Exec(t.Context(), one(g, inserting), Options{})
		require.NoError(t, err)
		m.on(sleepy, answer{takes: 40 * time.Millisecond})
		m.on(inserting, answer{rows: 1})

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = g.Exec(ctx, one(g, sleepy), Options{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var lost *LostError
		require.ErrorAs(t, err, &lost)
		require.True(t, lost.Sent)

		gone, leave := context.WithCancel(t.Context())
		leave()
		before := m.count(inserting)
		_, err = g.Exec(gone, one(g, inserting), Options{})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorAs(t, err, &lost)
		got, err := texts(t.Context(), g, one(g, inserting), Options{})
		require.NoError(t, err, "its neighbour is answered")
		require.Equal(t, []string{inserting}, got)
		require.Equal(t, before+1, m.count(inserting), "who had left before has sent nothing")
		require.Zero(t, g.lanes[0].underWay.Load())
	})
}

// Whoever gives up before anything of his was sent leaves nothing to run.
func TestGivingUpInTheQueue(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		for _, sql := range []string{sleepy, inserting} {
			_, err := g.Exec(t.Context(), one(g, sql), Options{})
			require.NoError(t, err)
		}
		m.on(sleepy, answer{takes: 15 * time.Millisecond})
		var group sync.WaitGroup
		for range narrowest { // the window is full
			group.Go(func() {
				_, err := g.Exec(t.Context(), one(g, sleepy), Options{})
				assert.NoError(t, err)
			})
		}
		synctest.Wait()
		require.EqualValues(t, narrowest, g.lanes[0].underWay.Load())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := g.Exec(ctx, one(g, inserting), Options{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var lost *LostError
		require.NotErrorAs(t, err, &lost)
		group.Wait()
		time.Sleep(time.Second)
		require.Equal(t, 1, m.count(inserting))
		require.Zero(t, g.queue.size)
	})
}

// A slow statement has no more than a narrow window behind it; the queue moves on over the other lane. When no lane moves, the
// queue goes elsewhere, and no further lane is opened.
func TestASlowStatement(t *testing.T) {
	inMemory(t, 2, func(t *testing.T, g *Group, m *memory) {
		for _, sql := range []string{sleepy, reading} {
			_, err := g.Exec(t.Context(), one(g, sql), Options{})
			require.NoError(t, err)
		}
		for range 8 {
			g.Enter()
		}
		time.Sleep(3 * keepEvery)
		require.Len(t, m.wires(), 2)
		m.on(sleepy, answer{takes: time.Second})
		var group sync.WaitGroup
		group.Go(func() {
			_, err := g.Exec(t.Context(), one(g, sleepy), Options{})
			assert.NoError(t, err)
		})
		synctest.Wait()
		var mu sync.Mutex
		delayed := 0
		began := time.Now()
		for range 64 {
			group.Go(func() {
				_, _ = g.Exec(t.Context(), one(g, reading), Options{})
				if time.Since(began) > slow {
					mu.Lock()
					defer mu.Unlock()
					delayed++
				}
			})
		}
		group.Wait()
		require.Less(t, delayed, narrowest)
		require.False(t, g.Text(sleepy).Passes(), "it was slow")
		require.EqualValues(t, avoidance-1, g.Text(sleepy).avoided.Load())
		require.True(t, g.Text(reading).Passes(), "those behind it were not")
		for range 8 {
			g.Leave()
		}
	})
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		_, err := g.Exec(t.Context(), one(g, sleepy), Options{})
		require.NoError(t, err)
		m.on(sleepy, answer{takes: time.Second})
		var group sync.WaitGroup
		group.Go(func() {
			_, err := g.Exec(t.Context(), one(g, sleepy), Options{})
			assert.NoError(t, err)
		})
		time.Sleep((stalledAfter + 2) * keepEvery)
		for range 20 {
			g.Enter()
			_, err = g.Exec(t.Context(), one(g, reading), Options{})
			require.ErrorIs(t, err, ErrElsewhere)
			g.Leave()
		}
		synctest.Wait()
		require.Len(t, m.wires(), 1, "stuck connections count, too")
		group.Wait()
		time.Sleep(2 * keepEvery)
		_, err = g.Exec(t.Context(), one(g, reading), Options{})
		require.NoError(t, err, "it moves again")
	})
}

func TestLargeResultsAreReadElsewhere(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		for name, a := range map[string]answer{
			"rows":    {rows: maxRows + 1},
			"bytes":   {rows: 20, wide: maxBytes / 10},
			"one row": {rows: 1, wide: 2 * maxBytes},
		} {
			sql := "select '" + name + "' from t"
			m.on(sql, a)
			_, err := g.Query(t.Context(), one(g, sql), Options{})
			require.ErrorIs(t, err, ErrElsewhere, name)
			require.False(t, g.Text(sql).Passes(), name)

			sql = "update t set a = '" + name + "' returning a"
			m.on(sql, a)
			got, err := texts(t.Context(), g, one(g, sql), Options{})
			require.NoError(t, err, "it has been done")
			require.Len(t, got, a.rows)
			require.Equal(t, 1, m.count(sql))
		}
		m.on(reading, answer{rows: maxRows})
		got, err := texts(t.Context(), g, one(g, reading), Options{})
		require.NoError(t, err)
		require.Len(t, got, maxRows)
	})
}

func TestLargeStatementsAreRunElsewhere(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		_, err := g.Exec(t.Context(), one(g, "select $1", strings.Repeat("x", maxBytes)), Options{})
		require.ErrorIs(t, err, ErrElsewhere)
		require.Zero(t, m.count("select $1"))
		long := "select '" + strings.Repeat("x", longest) + "'"
		require.Equal(t, Elsewhere, g.Text(long).Verdict)
		require.Equal(t, Refused, g.Text(long+"; commit").Verdict)
		require.NotContains(t, g.texts.young, long)
	})
}

// A description that is out of date is made anew, once.
func TestAnOutdatedDescription(t *testing.T) {
	for _, code := range []string{"0A000", "08P01", "26000", "XX000", "42P01", "42703"} {
		inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
			_, err := g.Exec(t.Context(), one(g, inserting), Options{})
			require.NoError(t, err)
			require.Equal(t, 1, m.prepared(inserting), "where it was described it is prepared")
			m.on(inserting, answer{unbound: code})
			_, err = g.Exec(t.Context(), one(g, inserting), Options{})
			require.ErrorIs(t, err, ErrElsewhere, "it does not help")
			require.Equal(t, 2, m.prepared(inserting), "once more")
			require.False(t, g.Text(inserting).Passes())
			m.on(inserting, answer{})
			_, err = g.Exec(t.Context(), one(g, inserting), Options{})
			require.NoError(t, err)
			require.Equal(t, 2, m.count(inserting))
		})
	}
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) { // what comes of the arguments is the caller's
		_, err := g.Exec(t.Context(), one(g, inserting), Options{})
		require.NoError(t, err)
		m.on(inserting, answer{unbound: "22P02"})
		_, err = g.Exec(t.Context(), one(g, inserting), Options{})
		require.Equal(t, "22P02", code(t, err))
		m.on(inserting, answer{refuses: "42P01"}) // after it had begun
		_, err = g.Exec(t.Context(), one(g, inserting), Options{})
		require.Equal(t, "42P01", code(t, err))
		require.Equal(t, 2, m.count(inserting))
	})
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) { // nor is what cannot be prepared tried again and again
		m.on(inserting, answer{unread: "42601"})
		_, err := g.Exec(t.Context(), one(g, inserting), Options{})
		require.ErrorIs(t, err, ErrElsewhere)
		require.False(t, g.Text(inserting).Passes())
		require.Equal(t, 1, m.prepared(inserting))
	})
}

// A lane that is wanted back waits for what is under way, makes the server forget what it prepared, and takes nothing more.
func TestALaneIsGivenBackAsItWas(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		for _, sql := range []string{sleepy, reading, inserting} {
			_, err := g.Exec(t.Context(), one(g, sql), Options{})
			require.NoError(t, err)
		}
		m.on(sleepy, answer{takes: 50 * time.Millisecond})
		w := m.wires()[0]
		var group sync.WaitGroup
		group.Go(func() {
			_, err := g.Exec(t.Context(), one(g, sleepy), Options{})
			assert.NoError(t, err, "it was under way")
		})
		synctest.Wait()
		w.wanted.Store(true)
		time.Sleep(keepEvery + time.Millisecond)
		_, err := g.Exec(t.Context(), one(g, reading), Options{})
		require.ErrorIs(t, err, ErrElsewhere)
		group.Wait()
		require.NoError(t, <-w.returned)
		require.Empty(t, w.left)
		require.EqualValues(t, 3+3+1, g.Answered(), "with the descriptions")
	})
}

// A connection that keeps something of what was prepared on it is not given back as a good one.
func TestALaneThatCannotForgetIsLost(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		_, err := g.Exec(t.Context(), one(g, reading), Options{})
		require.NoError(t, err)
		m.on("close", answer{refuses: "57014"})
		w := m.wires()[0]
		w.wanted.Store(true)
		require.Equal(t, "57014", code(t, <-w.returned))
		require.Nil(t, goodbye.failed)
	})
}

// A lane that nobody will ask for is none: so it is when the pool ends while its connection is opened.
func TestALaneWithoutAKeeperEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{t: t, answers: map[string]answer{}, parsed: map[string]int{}}
		open := true
		g := New(Config{
			Open: func() (Connection, error) { return m.dial(), nil },
			Go: func(f func()) bool {
				was := open
				open = false
				if was {
					go f()
				}
				return was
			},
			Most:     func() int { return 1 },
			Crowded:  func() bool { return false },
			Panicked: func(err error) { t.Error(err) },
		})
		for range shareFrom {
			g.Enter()
		}
		for range 2 {
			_, err := g.Exec(t.Context(), one(g, reading), Options{})
			require.ErrorIs(t, err, ErrElsewhere)
			synctest.Wait()
		}
		require.NoError(t, <-m.wires()[0].returned)
		require.Len(t, m.wires(), 1)
	})
}

// There are as many lanes as callers are worth, and they go with them, but not at once.
func TestLanesComeAndGoWithTheirCallers(t *testing.T) {
	inMemory(t, 3, func(t *testing.T, g *Group, m *memory) {
		for range 100 {
			g.Enter()
		}
		use := func(turns int) {
			for range turns {
				_, err := g.Exec(t.Context(), one(g, reading), Options{})
				require.NoError(t, err)
				time.Sleep(keepEvery)
			}
		}
		use(10)
		require.EqualValues(t, 3, g.open.Load())
		for range 100 {
			g.Leave()
		}
		use(patience)
		require.EqualValues(t, 3, g.open.Load())
		use(10 * patience)
		require.EqualValues(t, 1, g.open.Load(), "some are left")
		require.Len(t, m.wires(), 3)
	})
}

// Callers whose statements do not share need no lanes, however many they are.
func TestIdleLanesAreGivenBack(t *testing.T) {
	inMemory(t, 3, func(t *testing.T, g *Group, m *memory) {
		for range 100 {
			g.Enter()
		}
		time.Sleep(patience / 2 * keepEvery)
		require.EqualValues(t, 3, g.open.Load())
		time.Sleep(patience * keepEvery)
		require.Zero(t, g.open.Load())
		for _, w := range m.wires() {
			require.NoError(t, <-w.returned)
		}
		time.Sleep(10 * patience * keepEvery)
		require.Len(t, m.wires(), 3)
		_, err := g.Exec(t.Context(), one(g, reading), Options{})
		require.ErrorIs(t, err, ErrElsewhere)
		synctest.Wait()
		_, err = g.Exec(t.Context(), one(g, reading), Options{})
		require.NoError(t, err)
		for range 100 {
			g.Leave()
		}
	})
}

// A batch is one transaction, with one Sync.
func TestABatchIsOneTransaction(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, g *Group, m *memory) {
		b := &pgx.Batch{}
		b.Queue(inserting)
		b.Queue(reading)
		m.on(reading, answer{rows: 1})
		statements := []Statement{one(g, inserting), one(g, reading)}
		results, err := g.Batch(t.Context(), b, statements, Options{})
		require.NoError(t, err)
		_, err = results.Exec()
		require.NoError(t, err)
		var got string
		require.NoError(t, results.QueryRow().Scan(&got))
		require.Equal(t, reading, got)
		require.NoError(t, results.Close())
		require.Equal(t, 3, m.syncs, "two for descriptions")

		m.on(inserting, answer{refuses: "23505"})
		results, err = g.Batch(t.Context(), b, statements, Options{})
		require.NoError(t, err)
		require.Equal(t, "23505", code(t, results.Close()))
		require.Equal(t, 1, m.count(reading), "the rest is skipped")

		m.on(inserting, answer{rows: 1})
		m.on(reading, answer{rows: maxRows + 1})
		results, err = g.Batch(t.Context(), b, statements, Options{})
		require.NoError(t, err, "it cannot be read again, so it is kept as a whole")
		require.NoError(t, results.Close())
		require.Equal(t, 3, m.count(inserting))
	})
}
