package retry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNothingTellsThePassword(t *testing.T) {
	leaks := map[string]func(*world){
		"refused": func(w *world) { w.server.Refuse("28P01", "your password "+canary+" is wrong") },
		"hint":    func(w *world) { w.server.RequirePassword("another") },
		"dialler": func(w *world) { w.cfg.Dial = failingDial(fmt.Errorf("tunnel to %s", canaryDSN(""))) },
		"lookup": func(w *world) {
			w.cfg.Lookup = func(context.Context, string) ([]string, error) { return nil, errors.New("with " + canary) }
		},
		"parameter": func(w *world) {
			w.cfg.ConnConfig.RuntimeParams["tcp_keepalives_idle"] = canary
			w.server.RefuseParameter("tcp_keepalives_idle", "22023")
		},
		"down": func(w *world) { w.server.Stop() },
		"hang": func(w *world) { w.server.Freeze() },
	}
	for name, leak := range leaks {
		inWorld(t, 10, func(w *world) {
			w.cfg.ConnConfig = parsed(w.t, canaryDSN("sslmode=disable"))
			leak(w)
		}, func(t *testing.T, w *world) {
			callOff := w.demand(2, true)
			w.pass(12 * time.Second)
			callOff()
			require.NotEmpty(t, w.log.String(), name)
			require.Empty(t, betrays(w.log.String()), name)
			for _, o := range w.pool.published() {
				require.Empty(t, betrays(fmt.Sprintf("%v %+v %#v", o, o, o.Cause)), name)
			}
			for _, e := range w.pool.ended() {
				require.Empty(t, betrays(fmt.Sprintf("%v %+v %#v", e.err, e.err, e.err)), name)
			}
			require.False(t, strings.Contains(w.log.String(), strings.Split(canaryDSN(""), "@")[0]), name)
		})
	}
}
