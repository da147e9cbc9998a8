package pgxpool

import (
	"time"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Stat is a picture of the pool. Its figures are read one after the other, so under load they need not add up exactly.
type Stat struct {
	below              poolactor.Stat
	acquired, canceled int64
	acquireTime        time.Duration
}

// Stat takes the picture. It never blocks.
func (p *Pool) Stat() *Stat {
	return &Stat{
		below:    p.pool.Stat(),
		acquired: p.acquired.Load(), canceled: p.canceled.Load(), acquireTime: time.Duration(p.acquireTime.Load()),
	}
}

// AcquireCount is how many acquires were successful.
func (s *Stat) AcquireCount() int64 { return s.acquired }

// AcquireDuration is what these took, all together.
func (s *Stat) AcquireDuration() time.Duration { return s.acquireTime }

// AcquiredConns is how many connections are acquired now.
func (s *Stat) AcquiredConns() int32 { return int32(s.below.Leased) }

// CanceledAcquireCount is how many acquires were ended by their context.
func (s *Stat) CanceledAcquireCount() int64 { return s.canceled }

// ConstructingConns is how many connections are being opened, or are ordered.
func (s *Stat) ConstructingConns() int32 { return int32(s.below.Opening) }

// EmptyAcquireCount is how many successful acquires had to wait.
func (s *Stat) EmptyAcquireCount() int64 {
	return max(0, s.below.Waited-s.below.InVain-int64(s.below.Waiting))
}

// EmptyAcquireWaitTime is what these waited, all together.
func (s *Stat) EmptyAcquireWaitTime() time.Duration {
	return max(0, s.below.WaitTime-s.below.InVainTime)
}

// IdleConns is how many connections nobody uses now, those that are being checked or cleaned included.
func (s *Stat) IdleConns() int32 {
	return int32(s.below.Idle + s.below.Checking + s.below.Cleaning)
}

// MaxConns is how many connections there are at most.
func (s *Stat) MaxConns() int32 { return int32(s.below.Max) }

// MaxIdleDestroyCount is how many connections were closed because nobody had used them for MaxConnIdleTime.
func (s *Stat) MaxIdleDestroyCount() int64 { return s.below.Unused }

// MaxLifetimeDestroyCount is how many connections were closed that had reached MaxConnLifetime.
func (s *Stat) MaxLifetimeDestroyCount() int64 { return s.below.Expired }

// NewConnsCount is how many connections were opened.
func (s *Stat) NewConnsCount() int64 { return s.below.Opened }

// TotalConns is ConstructingConns, AcquiredConns and IdleConns together.
func (s *Stat) TotalConns() int32 {
	return s.ConstructingConns() + s.AcquiredConns() + s.IdleConns()
}
