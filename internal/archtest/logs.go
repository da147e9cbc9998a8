package archtest

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
)

// This file finds out from the code what the log can say: which events, and each with which fields.

// fieldMethods are those of zerolog's events that name a field.
var fieldMethods = []string{
	"Str", "Stringer", "Int", "Int64", "Uint16", "Uint32", "Uint64", "Bool", "Dur", "Time", "AnErr", "Bytes", "Float64", "Any", "Interface",
}

// passesOn writes lines that others have made.
const passesOn = "copyTo"

// terms is a set of words.
type terms map[string]bool

func (t terms) sorted() []string { return slices.Sorted(maps.Keys(t)) }

// speech is what a package can say.
type speech struct {
	lines    map[string]terms  // the fields of each event that is named where it is written
	begun    terms             // the fields with which the helper called line begins each
	kinds    map[string]string // the names of events that are constants of a type EventKind, by constant
	kindly   terms             // the fields of lines about whatever kind of event ...
	members  map[string]terms  // ... and which of them each member of Event is for
	told     map[string]terms  // the members that are set where a constant of EventKind is told
	builders map[string]builder
	nameless []string // lines that do not say what they are about
	bare     []string // calls of Err, which would name the field "error"
}

// builder is a function that makes an Event of the kind that it is given.
type builder struct {
	parameters int
	kind       int              // which of them the kind is
	members    map[string][]int // those that it sets, and from which parameters
}

func newSpeech() *speech {
	return &speech{
		lines: map[string]terms{}, begun: terms{}, kinds: map[string]string{}, kindly: terms{}, members: map[string]terms{},
		told: map[string]terms{}, builders: map[string]builder{},
	}
}

// listen gathers what the files of a package can say.
func (s *speech) listen(set *token.FileSet, files []*ast.File) {
	each := func(f func(*ast.FuncDecl)) {
		for _, file := range files {
			for _, declared := range file.Decls {
				if d, ok := declared.(*ast.FuncDecl); ok && d.Body != nil {
					f(d)
				}
			}
		}
	}
	for _, file := range files {
		for _, declared := range file.Decls {
			s.listenToNames(declared)
		}
	}
	each(s.listenToHelpers)
	each(func(f *ast.FuncDecl) { s.listenToEvents(f) })
	each(func(f *ast.FuncDecl) { s.listenToLines(set, f) })
}

// listenToNames takes in the names of events that are constants of a type EventKind, or stand in a table of its words.
func (s *speech) listenToNames(d ast.Decl) {
	general, ok := d.(*ast.GenDecl)
	if !ok {
		return
	}
	for _, spec := range general.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		switch kind, isIdent := v.Type.(*ast.Ident); {
		case isIdent && kind.Name == "EventKind" && v.Names[0].Name != "EventActor" && len(v.Values) == 1:
			if name := text(v.Values[0]); name != "" {
				s.kinds[v.Names[0].Name] = name
			}
		case v.Names[0].Name == "eventWords":
			for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
				of := e.(*ast.KeyValueExpr)
				s.kinds[word(of.Key)] = text(of.Value.(*ast.CompositeLit).Elts[0])
			}
		}
	}
}

// listenToHelpers takes in how lines begin, and who makes events of a kind that others choose.
func (s *speech) listenToHelpers(f *ast.FuncDecl) {
	var parameters []string
	for _, p := range f.Type.Params.List {
		for _, name := range p.Names {
			parameters = append(parameters, name.Name)
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if name := field(n); f.Name.Name == "line" && name != "" {
				s.begun[name] = true
			}
		case *ast.CompositeLit:
			if kind := slices.Index(parameters, word(member(n, "Kind"))); word(n.Type) == "Event" && kind >= 0 {
				b := builder{parameters: len(parameters), kind: kind, members: map[string][]int{}}
				for _, e := range n.Elts {
					of := e.(*ast.KeyValueExpr)
					from := []int{}
					for i, p := range parameters {
						if mentions(of.Value, p) {
							from = append(from, i)
						}
					}
					b.members[word(of.Key)] = from
				}
				s.builders[f.Name.Name] = b
			}
		}
		return true
	})
}

// listenToEvents takes in what is told about each kind of event.
func (s *speech) listenToEvents(f *ast.FuncDecl) {
	tell := func(kind string, members ...string) {
		if s.kinds[kind] == "" {
			return
		}
		if s.told[kind] == nil {
			s.told[kind] = terms{}
		}
		for _, m := range members {
			s.told[kind][m] = true
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if word(n.Type) != "Event" {
				break
			}
			kind := word(member(n, "Kind"))
			for _, e := range n.Elts {
				tell(kind, word(e.(*ast.KeyValueExpr).Key))
			}
		case *ast.CallExpr:
			b, ok := s.builders[called(n)]
			if !ok || len(n.Args) != b.parameters {
				break
			}
			for m, from := range b.members {
				if !slices.ContainsFunc(from, func(i int) bool { return nothing(n.Args[i]) }) {
					tell(word(n.Args[b.kind]), m)
				}
			}
		}
		return true
	})
}

// listenToLines takes in the lines that a function writes.
func (s *speech) listenToLines(set *token.FileSet, f *ast.FuncDecl) {
	bound := map[string]string{} // variables that hold a line, and what that is about
	within := map[*ast.CallExpr]bool{}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if call, ok := n.Rhs[0].(*ast.CallExpr); ok && word(n.Lhs[0]) != "" {
				if _, event, begins := chain(call); begins {
					bound[word(n.Lhs[0])] = event
				}
			}
		case *ast.CallExpr:
			if called(n) == "Err" && len(n.Args) == 1 {
				s.bare = append(s.bare, set.Position(n.Pos()).String())
			}
			if within[n] {
				break
			}
			calls, event, begins := chain(n)
			for _, c := range calls {
				within[c] = true
			}
			if !begins {
				event, begins = bound[root(calls[len(calls)-1])]
			}
			switch {
			case begins:
				s.note(event, calls)
			case called(n) == "Msg" && f.Name.Name != passesOn:
				s.nameless = append(s.nameless, set.Position(n.Pos()).String()+" "+f.Name.Name)
			}
		}
		return true
	})
}

// note takes in the fields of a line, or of a part of one.
func (s *speech) note(event string, calls []*ast.CallExpr) {
	into := s.kindly
	if event != "" {
		if s.lines[event] == nil {
			s.lines[event] = terms{}
		}
		into = s.lines[event]
	}
	for _, c := range calls {
		if called(c) == "line" {
			maps.Copy(into, s.begun)
		}
		name := field(c)
		if name == "" {
			continue
		}
		into[name] = true
		ast.Inspect(c.Args[1], func(n ast.Node) bool {
			if of, ok := n.(*ast.SelectorExpr); ok && event == "" && word(of.X) == "e" {
				if s.members[of.Sel.Name] == nil {
					s.members[of.Sel.Name] = terms{}
				}
				s.members[of.Sel.Name][name] = true
			}
			return true
		})
	}
}

// of are the fields of all events. Those that belong to no member of Event stand for many: they are of the kinds that are
// summed up.
func (s *speech) of(summedUp func(event string) bool) map[string]terms {
	all := maps.Clone(s.lines)
	common := maps.Clone(s.kindly)
	for _, fields := range s.members {
		maps.DeleteFunc(common, func(name string, _ bool) bool { return fields[name] })
	}
	for kind, name := range s.kinds {
		fields := maps.Clone(s.begun)
		for m := range s.told[kind] {
			maps.Copy(fields, s.members[m])
		}
		if summedUp(name) {
			maps.Copy(fields, common)
		}
		all[name] = fields
	}
	return all
}

// chain takes calls of methods on each other's results apart, the last first. It begins a line if one of them says which
// event that is about: event, or "" where that is decided elsewhere.
func chain(last *ast.CallExpr) (calls []*ast.CallExpr, event string, begins bool) {
	for call := last; call != nil; {
		calls = append(calls, call)
		switch {
		case called(call) == "line" && len(call.Args) > 0:
			event, begins = text(call.Args[len(call.Args)-1]), true
		case len(call.Args) == 2 && text(call.Args[0]) == "event":
			event, begins = text(call.Args[1]), true
		}
		of, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			break
		}
		call, _ = of.X.(*ast.CallExpr)
	}
	return calls, event, begins
}

// root is the variable whose method a call is; empty if it is no variable's.
func root(call *ast.CallExpr) string {
	if of, ok := call.Fun.(*ast.SelectorExpr); ok {
		return word(of.X)
	}
	return ""
}

// field is the name of the field that a call adds, beside those that every line has; empty if it adds none.
func field(call *ast.CallExpr) string {
	if !slices.Contains(fieldMethods, called(call)) || len(call.Args) != 2 {
		return ""
	}
	name := text(call.Args[0])
	if name == "event" || name == "actor" {
		return ""
	}
	return name
}

// member is what a literal gives a member of a struct; nil: nothing.
func member(of *ast.CompositeLit, name string) ast.Expr {
	for _, e := range of.Elts {
		if e, ok := e.(*ast.KeyValueExpr); ok && word(e.Key) == name {
			return e.Value
		}
	}
	return nil
}

// mentions tells whether an expression has a variable in it.
func mentions(e ast.Expr, variable string) (found bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == variable
		return true
	})
	return found
}

// nothing tells of a zero value.
func nothing(e ast.Expr) bool {
	literal, ok := e.(*ast.BasicLit)
	return word(e) == "nil" || ok && literal.Value == "0"
}

// word is an identifier as a text; empty for everything else.
func word(e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// called is the name of the function or method that is called.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	default:
		return ""
	}
}

// text is what a literal says; empty if it is no string.
func text(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	t, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return t
}
