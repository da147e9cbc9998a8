package supervisor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// defaultStopTimeout is suture's own, and as long as orchestrators give a process that is told to end to do so.
const defaultStopTimeout = 10 * time.Second

// Config is what a tree needs besides its groups. The zero value is a silent tree named "root".
type Config struct {
	// Name is the first step of every path; empty means "root". The rules are those of Child.Name.
	Name string
	// Logger gets every event: a panic at ERROR with its stack, another failure at WARN, escalation, a stop that timed
	// out and giving up at ERROR, the rest at INFO and DEBUG. It is written to by whoever has something to say: its
	// writer must be safe for that (zerolog.SyncWriter makes it so), and one that blocks holds the tree up. Nil is
	// silent.
	Logger *zerolog.Logger
}

// survey turns a child and all below it into places, and collects what is wrong with them.
func survey(j *journal, parent *place, index int, c Child) (*place, []error) {
	p := &place{journal: j, parent: parent, index: index, path: c.Name, child: c}
	if parent != nil {
		p.path = parent.path + "/" + c.Name
	}
	problems := p.check()
	p.child.Restart = c.Restart.withDefaults()
	if !p.isGroup() {
		if c.StopTimeout == 0 {
			p.child.StopTimeout = defaultStopTimeout
		}
		return p, problems
	}
	p.requests = make(chan request)
	return p, append(problems, p.surveyChildren()...)
}

// surveyChildren adds the places below a group, and compares its StopTimeout with theirs.
func (p *place) surveyChildren() []error {
	var problems []error
	var sum time.Duration
	names := make(map[string]bool)
	for i, c := range p.child.group.Children {
		b, below := survey(p.journal, p, i, c)
		problems = append(problems, below...)
		if names[c.Name] && c.Name != "" {
			problems = append(problems, p.problem("two children are named %q", c.Name))
		}
		names[c.Name] = true
		sum += b.child.StopTimeout
		p.below = append(p.below, b)
	}
	switch {
	case p.child.StopTimeout == 0:
		p.child.StopTimeout = sum
	case p.child.StopTimeout < sum:
		problems = append(problems, p.problem("StopTimeout is %v, but its children stop one after the other and may take %v together", p.child.StopTimeout, sum))
	}
	return problems
}

// check looks at what can be judged without the children.
func (p *place) check() []error {
	var problems []error
	c := p.child
	switch {
	case c.Name == "" && p.parent != nil:
		problems = append(problems, p.parent.problem("child %d has no name", p.index+1))
	case strings.Contains(c.Name, "/"):
		problems = append(problems, p.problem(`the name %q contains "/", which separates the steps of a path`, c.Name))
	}
	switch {
	case c.New == nil && c.group == nil:
		problems = append(problems, p.problem("New is nil"))
	case c.New != nil && c.group != nil:
		problems = append(problems, p.problem("a group has no New of its own"))
	}
	if c.group != nil && (c.group.Strategy < OneForOne || c.group.Strategy > OneForAll) {
		problems = append(problems, p.problem("Strategy %d is none of OneForOne, RestForOne, OneForAll", c.group.Strategy))
	}
	if c.StopTimeout < 0 {
		problems = append(problems, p.problem("StopTimeout is negative; 0 means the default"))
	}
	if err := c.Restart.validate(); err != nil {
		problems = append(problems, p.problem("%w", err))
	}
	return problems
}

func (p *place) problem(format string, args ...any) error {
	return fmt.Errorf("supervisor: %s: %w", p.path, fmt.Errorf(format, args...))
}

// plant builds the places of a whole tree, or tells everything that is wrong.
func plant(j *journal, cfg Config, groups []Group) (*place, error) {
	name := cfg.Name
	if name == "" {
		name = "root"
	}
	top := Group{Name: name}
	for _, g := range groups {
		top.Children = append(top.Children, g.Child())
	}
	root, problems := survey(j, nil, 0, top.Child())
	return root, errors.Join(problems...)
}
