package poolactor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rule is something that the hand-off relies on, for the model to leave out.
type rule int

const (
	noRule rule = iota
	chainOnFastPath
	roomInSupply
	supplyCountsWhatIsOffered
	supplyBeforeWaiting
	countBeforeSupply
	demandByWaiters
	settleEveryRound
	settleAfterAudit
	auditAtRestart
	auditRepeatsOrders
	claimBySwap
	claimBySwapAuditCloses
	offerBySwap
	undo
	undoBySwap
	adoptBySwap
	releaseBySwap
	hintAfterOpened
	tellAfterWanted
	rescanWhenHintsAreFull
	retireLeased
	releaseLooksAtRetire
	revokeBeforeCredit
	gateAfterClaim
	putHotLooksBack
	waitersLookHot
	ruleCount
)

// rules says for each rule what the model does instead, and gives a scope in which that goes wrong.
var rules = []struct {
	rule rule
	says string
	scope
}{
	{chainOnFastPath, "only waiters chain", scope{callers: 3, ready: 1, hints: 2, max: 2}},
	{roomInSupply, "supply says only whether something rests", scope{callers: 3, ready: 1, hints: 2, max: 2}},
	{supplyCountsWhatIsOffered, "supply falls while a connection is offered", scope{callers: 4, ready: 1, hints: 2, max: 2, open: 2}},
	{supplyBeforeWaiting, "the actor reads waiting before it publishes supply", scope{callers: 3, ready: 1, hints: 2, max: 2}},
	{countBeforeSupply, "a waiter reads supply before it counts itself", scope{callers: 3, ready: 1, hints: 2, max: 2}},
	{demandByWaiters, "a waiter raises no signal", scope{callers: 1, ready: 1, hints: 2, max: 2}},
	{settleEveryRound, "only a waiter's signal is followed by a settle", scope{callers: 2, ready: 1, hints: 2, max: 2}},
	{settleAfterAudit, "a new life waits for its first message", scope{callers: 1, ready: 1, hints: 2, max: 2, crashes: 1}},
	{auditAtRestart, "a new life begins without an audit", scope{callers: 2, ready: 1, hints: 2, max: 1, crashes: 1}},
	{auditRepeatsOrders, "the audit does not repeat orders", scope{callers: 1, ready: 1, hints: 2, max: 1, crashes: 1}},
	{claimBySwap, "a claim stores", scope{callers: 2, ready: 1, hints: 2, max: 1, crashes: 1}},
	{claimBySwapAuditCloses, "a claim stores, and the audit closes what is on offer", scope{callers: 2, ready: 1, hints: 2, max: 1, crashes: 1}},
	{offerBySwap, "an offer stores", scope{callers: 2, ready: 1, hints: 2, max: 2, open: 2, checks: 1}},
	{undo, "what found ready full stays on offer", scope{callers: 3, ready: 1, hints: 2, max: 2, open: 2}},
	{undoBySwap, "the undo stores", scope{callers: 3, ready: 1, hints: 2, max: 2, open: 2, checks: 1}},
	{adoptBySwap, "the audit stores", scope{callers: 2, ready: 1, hints: 2, max: 1, crashes: 1}},
	{releaseBySwap, "a release stores", scope{callers: 2, ready: 1, hints: 2, max: 2, open: 2, shrinks: 1}},
	{hintAfterOpened, "the hint comes before the connection", scope{callers: 1, ready: 1, hints: 2, max: 1}},
	{tellAfterWanted, "the retry actor is told before the order stands", scope{callers: 1, ready: 1, hints: 2, max: 1}},
	{rescanWhenHintsAreFull, "a hint that finds no room is lost", scope{callers: 2, ready: 1, hints: 1, max: 2}},
	{retireLeased, "a shrink leaves alone what is leased", scope{callers: 2, ready: 1, hints: 2, max: 2, open: 2, shrinks: 1}},
	{releaseLooksAtRetire, "a release offers what is to go", scope{callers: 2, ready: 1, hints: 2, max: 2, open: 2, shrinks: 1}},
	{revokeBeforeCredit, "a shrink credits what leaves before it revokes orders", scope{callers: 2, ready: 1, hints: 2, max: 2, open: 1, deaths: 1, shrinks: 1}},
	{putHotLooksBack, "what lies hot is left there although somebody waits by now", scope{callers: 2, ready: 1, hints: 2, max: 1}},
	{waitersLookHot, "a waiter does not look whether something is hot", scope{callers: 2, ready: 1, hints: 2, max: 1}},
	{gateAfterClaim, "the gate is not read after a claim", scope{callers: 2, ready: 1, hints: 2, max: 1, suspends: 1}},
}

// Each rule is needed: without it the model finds a run that breaks what is promised. -v prints the shortest.
func TestModelBreaksWithoutEachRule(t *testing.T) {
	tried := map[rule]bool{noRule: true}
	for _, r := range rules {
		tried[r.rule] = true
		t.Run(r.says, func(t *testing.T) {
			t.Parallel()
			r.without = r.rule
			m := &model{scope: r.scope}
			began := time.Now()
			found, states := m.shortest()
			require.NotEmpty(t, found.wrong, "%d states and nothing wrong in them", states)
			t.Logf("%d states, %v: %s\n%s", states, time.Since(began).Round(time.Millisecond), found.wrong, m.tell(found.run))
		})
	}
	require.Len(t, tried, int(ruleCount), "each rule is left out once")
}
