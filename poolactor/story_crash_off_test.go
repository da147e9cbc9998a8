//go:build !failpoint

package poolactor

// crash makes the pool actor panic, by a hint that leads nowhere.
func (s *story) crash(int) bool {
	select {
	case s.p.hints <- hint{}:
		return true
	default:
		return false
	}
}

func noMoreCrashes() {}
