// Package daemon is what cmd/supervised runs: it reads the configuration, assembles the tree of an optional throwaway
// server, the pool and the ops server, and sees it through signals to its end.
//
//	root
//	├── embedded   the throwaway PostgreSQL, if there is one
//	├── database   the pool, with its actors below it
//	└── edge       what faces the outside: the watch over readiness, the ops HTTP server
//
// The groups start in this order and stop in the reverse: what faces the outside ends while the pool still serves it.
package daemon
