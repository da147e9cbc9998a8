package main

import (
	"fmt"
	"go/types"
	"slices"
	"strings"
)

// describe lists what a package exports, a line for each thing that a program can name: constants with their values,
// variables, functions, types, their fields and methods. Names of parameters are left out, since they are nobody's
// business but the reader's.
func describe(pkg *types.Package) []string {
	d := description{pkg: pkg}
	for _, name := range pkg.Scope().Names() {
		if object := pkg.Scope().Lookup(name); object.Exported() {
			d.object(object)
		}
	}
	slices.Sort(d.lines)
	return slices.Compact(d.lines)
}

// description collects the lines of one package.
type description struct {
	pkg   *types.Package
	lines []string
}

func (d *description) add(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *description) object(object types.Object) {
	name := object.Name()
	switch o := object.(type) {
	case *types.Const:
		d.add("const %s %s = %s", name, d.text(o.Type()), o.Val().ExactString())
	case *types.Var:
		d.add("var %s %s", name, d.text(o.Type()))
	case *types.Func:
		signature := o.Signature()
		d.add("func %s%s%s", name, d.parameters(signature.TypeParams()), d.signature(signature))
	case *types.TypeName:
		if o.IsAlias() {
			alias := o.Type()
			if a, ok := alias.(*types.Alias); ok {
				alias = a.Rhs()
			}
			d.add("type %s = %s", name, d.text(alias))
			return
		}
		d.named(o.Type().(*types.Named))
	}
}

func (d *description) named(t *types.Named) {
	name := t.Obj().Name()
	full := name + d.parameters(t.TypeParams())
	switch under := t.Underlying().(type) {
	case *types.Struct:
		d.add("type %s struct%s", full, comparability(t))
		d.fields(name, under)
	case *types.Interface:
		d.interfaceType(name, full, under)
		return // its methods are a part of it
	default:
		d.add("type %s %s", full, d.text(under))
	}
	d.methods(t)
}

// comparability tells of structs that can be compared and be keys: they can lose that by a field that nobody sees.
func comparability(t types.Type) string {
	if types.Comparable(t) {
		return ", comparable"
	}
	return ""
}

// fields lists a struct's exported fields, those promoted from embedded structs of types without an exported name included.
func (d *description) fields(owner string, s *types.Struct) {
	for f := range s.Fields() {
		embedded, _ := f.Type().Underlying().(*types.Struct)
		switch {
		case f.Exported() && f.Embedded():
			d.add("field %s.%s %s, embedded", owner, f.Name(), d.text(f.Type()))
		case f.Exported():
			d.add("field %s.%s %s", owner, f.Name(), d.text(f.Type()))
		case f.Embedded() && embedded != nil:
			d.fields(owner, embedded)
		}
	}
}

// interfaceType describes an interface that anybody can implement in one line, since each further method breaks those who
// do; one that is sealed by a method without an exported name in a line for each method.
func (d *description) interfaceType(name, full string, i *types.Interface) {
	var methods []string
	sealed := false
	for m := range i.Methods() {
		if sealed = sealed || !m.Exported(); m.Exported() {
			methods = append(methods, m.Name()+d.signature(m.Signature()))
		}
	}
	slices.Sort(methods)
	switch {
	case sealed:
		d.add("type %s interface, sealed", full)
		for _, m := range methods {
			d.add("method (%s) %s", name, m)
		}
	case i.IsMethodSet():
		d.add("type %s interface { %s }", full, strings.Join(methods, "; "))
	default:
		d.add("type %s %s", full, d.text(i))
	}
}

// methods lists the methods of a type, promoted ones included.
func (d *description) methods(t *types.Named) {
	receiver := t.Obj().Name()
	if n := t.TypeParams().Len(); n > 0 {
		names := make([]string, n)
		for i := range n {
			names[i] = t.TypeParams().At(i).Obj().Name()
		}
		receiver += "[" + strings.Join(names, ", ") + "]"
	}
	ofValue := types.NewMethodSet(t)
	for selected := range types.NewMethodSet(types.NewPointer(t)).Methods() {
		m := selected.Obj().(*types.Func)
		if !m.Exported() {
			continue
		}
		star := "*"
		if ofValue.Lookup(m.Pkg(), m.Name()) != nil {
			star = ""
		}
		d.add("method (%s%s) %s%s", star, receiver, m.Name(), d.signature(selected.Type().(*types.Signature)))
	}
}

// parameters writes type parameters with their constraints.
func (d *description) parameters(list *types.TypeParamList) string {
	if list.Len() == 0 {
		return ""
	}
	all := make([]string, 0, list.Len())
	for p := range list.TypeParams() {
		all = append(all, p.Obj().Name()+" "+d.text(p.Constraint()))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (d *description) signature(s *types.Signature) string {
	return strings.TrimPrefix(d.text(types.NewSignatureType(nil, nil, nil, s.Params(), s.Results(), s.Variadic())), "func")
}

// text writes a type as it looks from inside the package; what is not its own has its whole import path.
func (d *description) text(t types.Type) string {
	return types.TypeString(bare(t), func(p *types.Package) string {
		if p == d.pkg {
			return ""
		}
		return p.Path()
	})
}

// bare is a type without the names of parameters.
func bare(t types.Type) types.Type {
	switch t := t.(type) {
	case *types.Pointer:
		return types.NewPointer(bare(t.Elem()))
	case *types.Slice:
		return types.NewSlice(bare(t.Elem()))
	case *types.Array:
		return types.NewArray(bare(t.Elem()), t.Len())
	case *types.Map:
		return types.NewMap(bare(t.Key()), bare(t.Elem()))
	case *types.Chan:
		return types.NewChan(t.Dir(), bare(t.Elem()))
	case *types.Signature:
		return types.NewSignatureType(nil, nil, nil, nameless(t.Params()), nameless(t.Results()), t.Variadic())
	default:
		return t
	}
}

func nameless(tuple *types.Tuple) *types.Tuple {
	list := make([]*types.Var, 0, tuple.Len())
	for v := range tuple.Variables() {
		list = append(list, types.NewParam(v.Pos(), v.Pkg(), "", bare(v.Type())))
	}
	return types.NewTuple(list...)
}
