package messages

// ToHealth is what the health actor's mailbox takes: a sealed set of small structs.
type ToHealth interface{ toHealth() }

// LookNow is the pool's hint that a connection died: look at every resting socket now. It may be lost or doubled.
type LookNow struct{}

func (LookNow) toHealth() {}

// VerifyNow is the pool's hint that a check failed or a new verification epoch began: verify every resting connection
// now, in parallel. It may be lost or doubled.
type VerifyNow struct{}

func (VerifyNow) toHealth() {}

// OutageBegan is the pool's hint that the server lets nobody in, or that somebody begins to wait while it does not: the
// health actor looks how often to send scouts. It may be lost or doubled.
type OutageBegan struct{}

func (OutageBegan) toHealth() {}
