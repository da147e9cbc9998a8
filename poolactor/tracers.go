package poolactor

import "context"

// Tracers makes one tracer of several, which may be nil. They are told of a beginning in this order and of an end in the
// reverse, each with the context that it made itself; one that panics keeps no other from being told of an end.
func Tracers(several ...Tracer) Tracer {
	var all tracers
	for _, one := range several {
		if one != nil {
			all.each = append(all.each, one)
		}
	}
	switch len(all.each) {
	case 0:
		return nil
	case 1:
		return all.each[0]
	default:
		return &all
	}
}

// tracers are several tracers. Contexts keep what each of them made under the pointer, so that these can be nested.
type tracers struct{ each []Tracer }

var (
	_ PoolTracer = (*tracers)(nil)
	_ DialTracer = (*tracers)(nil)
)

// AcquireStart lets each of them begin with the context of the one before.
func (t *tracers) AcquireStart(ctx context.Context) context.Context {
	made := make([]context.Context, len(t.each))
	for i, one := range t.each {
		ctx = one.AcquireStart(ctx)
		made[i] = ctx
	}
	return context.WithValue(ctx, t, made)
}

// AcquireEnd tells each of them, in its own context.
func (t *tracers) AcquireEnd(ctx context.Context, end AcquireEnd) {
	made := ctx.Value(t).([]context.Context)
	for i, one := range t.each {
		defer one.AcquireEnd(made[i], end)
	}
}

// Released tells each of them.
func (t *tracers) Released(r Released) {
	for _, one := range t.each {
		defer one.Released(r)
	}
}

// DialEnd tells those that want to know.
func (t *tracers) DialEnd(end DialEnd) {
	for _, one := range t.each {
		if d, ok := one.(DialTracer); ok {
			defer d.DialEnd(end)
		}
	}
}

// TracePool shows the pool to those that want to see it, until one objects.
func (t *tracers) TracePool(p *Pool) error {
	for _, one := range t.each {
		if shown, ok := one.(PoolTracer); ok {
			if err := shown.TracePool(p); err != nil {
				return err
			}
		}
	}
	return nil
}
