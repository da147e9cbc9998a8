// Package bench measures the pool beside its peers, in the same run and in turns, so that a figure is a ratio and not
// a property of the machine's mood. It is a module of its own: the peers stay out of the library's dependency graph.
package bench
