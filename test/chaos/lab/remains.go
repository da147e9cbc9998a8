package lab

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
)

// remains is what there is of a pool at rest, with everything around it that runs in this process.
type remains struct {
	residue
	heap uint64 // bytes that are alive
}

// outgrown says what there is more of now. Memory may grow by a tenth: caches fill, and Go's own accounts do.
func (r remains) outgrown(now remains) (wrong []string) {
	if now.more(r.residue) {
		wrong = append(wrong, fmt.Sprintf("at rest there are %d goroutines and %d descriptors, after the warm-up there were %d and %d",
			now.goroutines, now.descriptors, r.goroutines, r.descriptors))
	}
	if float64(now.heap) > 1.1*float64(r.heap) {
		wrong = append(wrong, fmt.Sprintf("at rest %d bytes are alive, after the warm-up there were %d", now.heap, r.heap))
	}
	return wrong
}

// more tells whether there is more of anything than there was.
func (r residue) more(was residue) bool {
	return r.goroutines > was.goroutines || r.descriptors > was.descriptors
}

// least is the less of each.
func (r residue) least(other residue) residue {
	return residue{goroutines: min(r.goroutines, other.goroutines), descriptors: min(r.descriptors, other.descriptors)}
}

// rest brings the pool to its size at rest, with nobody on it, and waits until there is no more than after the warm-up, or,
// before there was one, until nothing changes any more. An error says why the pool does not come to rest.
func (s *siege) rest(ctx context.Context) (remains, error) {
	if err := s.pool.Resize(ctx, soakRest, soakRest); err != nil {
		return remains{}, err
	}
	var now remains
	var restless error
	var since time.Time // when the figures were seen to change last
	until(ctx, restPatience, func() bool {
		before := now.residue
		if restless = s.restless(ctx); restless != nil {
			return false
		}
		if now = alive(); now.residue != before {
			since = time.Now()
		}
		if s.found.First == (remains{}) {
			return time.Since(since) >= steady
		}
		return len(s.found.First.outgrown(now)) == 0 // what is on its way out is alive for a moment
	})
	if restless != nil {
		return now, restless
	}
	s.bound.Store(soakSize)
	return now, s.pool.Resize(ctx, 0, soakSize)
}

// steady is for how long nothing may change before there is something to compare with.
const steady = time.Second

// alive counts what is there, without what nobody uses any more.
func alive() remains {
	runtime.GC() // once for what is garbage, and once more for what pools of free objects kept
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return remains{residue: look(), heap: m.HeapAlloc}
}

// restless says what the pool, or the server, still does.
func (s *siege) restless(ctx context.Context) error {
	runtime.GC() // so that leases are found that were forgotten
	st := s.pool.Stat()
	if st.Idle != soakRest || st.Total() != soakRest || st.Waiting > 0 {
		return fmt.Errorf("its figures are %+v", st)
	}
	if n := s.meter.now.Load(); n != soakRest {
		return fmt.Errorf("it has %d sockets", n)
	}
	admin, err := pgx.Connect(ctx, s.place.server.DSN())
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	var backends, busy int
	err = admin.QueryRow(ctx, "select count(*), count(*) filter (where state <> 'idle') "+others).Scan(&backends, &busy)
	switch {
	case err != nil:
		return err
	case backends != soakRest || busy > 0:
		return fmt.Errorf("the server has %d backends for it, %d of them busy", backends, busy)
	case s.place.proxy.Counts().Open != soakRest:
		return errors.New("the proxy has not noticed yet that connections are closed")
	}
	return nil
}
