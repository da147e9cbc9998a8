package ops

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/messages"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakePool is a pool that is what a test says.
type fakePool struct {
	mu      sync.Mutex
	stat    poolactor.Stat
	contact poolactor.Contact
	slots   []poolactor.SlotState
	holders []poolactor.Holder
	waits   int
	// wait is what WaitReady does.
	wait func(context.Context) error
}

func (p *fakePool) set(change func(*fakePool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *fakePool) Stat() poolactor.Stat {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stat
}

func (p *fakePool) Contact() poolactor.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.contact
}

func (p *fakePool) Slots() []poolactor.SlotState { return p.slots }
func (p *fakePool) Holders() []poolactor.Holder  { return p.holders }

func (p *fakePool) Target() poolactor.Target {
	return poolactor.Target{Host: "db.example", Port: 5432, Database: "app", User: "me"}
}

func (p *fakePool) WaitReady(ctx context.Context) error {
	p.mu.Lock()
	p.waits++
	wait := p.wait
	p.mu.Unlock()
	return wait(ctx)
}

func (p *fakePool) Ping(context.Context) error { return nil }

func (p *fakePool) waited() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waits
}

const poolPath = "root/database/pool"

// goodTree is the tree of a daemon that is well.
func goodTree() supervisor.Node {
	running := func(path string, kind supervisor.Kind, below ...supervisor.Node) supervisor.Node {
		n := supervisor.Node{Path: path, Kind: kind, State: supervisor.StateRunning, Children: below}
		for i := len(path) - 1; i >= 0 && path[i] != '/'; i-- {
			n.Name = path[i:]
		}
		return n
	}
	const group, tree, service = supervisor.KindGroup, supervisor.KindTree, supervisor.KindService
	return running("root", group,
		running("root/database", group,
			running(poolPath, tree,
				running(poolPath+"/data", group, running(poolPath+"/data/pool", service)),
				running(poolPath+"/upkeep", group, running(poolPath+"/upkeep/retry", service)))),
		running("root/edge", group, running("root/edge/ops", service)))
}

// at returns the node at a path, to be changed.
func at(n *supervisor.Node, path string) *supervisor.Node {
	if n.Path == path {
		return n
	}
	for i := range n.Children {
		if found := at(&n.Children[i], path); found != nil {
			return found
		}
	}
	return nil
}

// wellPool is a pool whose server answered just now.
func wellPool() *fakePool {
	p := &fakePool{stat: poolactor.Stat{Min: 5, Max: 20, Idle: 5}}
	p.contact = poolactor.Contact{Open: 5, Verified: 5, Alive: time.Now()}
	return p
}

// down is the outage of a server that refuses connections.
func down(since time.Time) messages.Outage {
	return messages.Outage{
		Since: since, Attempts: 3, NotBefore: since.Add(4 * time.Second), Cause: errors.New("connection refused"),
	}
}

// watchOver makes a watch over a daemon that began now.
func watchOver(p *fakePool, tree func() supervisor.Node) *Watch {
	s := Subject{
		Version: "v1.2.3", Started: time.Now(), Pool: p, Tree: tree, PoolPath: poolPath, Journal: &Journal{},
	}
	return NewWatch(s, 1500*time.Millisecond, false, nil)
}
