package poolactor

import (
	"time"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// SupervisionConfig says how the pool's crashed actors are restarted.
type SupervisionConfig struct {
	// Pool is for the pool actor. The zero value restarts it at once, then after 5, 10, 20 ms ... up to 1 s, and begins
	// anew after 1 s without a crash. It is never given up, whatever Intensity and Never say: callers can wait out its
	// crashes, and nothing but a new life helps them.
	Pool supervisor.Restart
	// Upkeep is for each of the others. The zero value is supervisor's own default.
	Upkeep supervisor.Restart
}

func (c SupervisionConfig) pool() supervisor.Restart {
	r := c.Pool
	if r == (supervisor.Restart{}) {
		r = supervisor.Restart{
			Immediate: true, Initial: 5 * time.Millisecond, Max: time.Second, HealthyAfter: time.Second,
		}
	}
	r.Intensity, r.Never = -1, false
	return r
}
