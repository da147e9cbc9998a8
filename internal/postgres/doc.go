// Package postgres runs a private, throwaway PostgreSQL server from the binaries that are installed on the machine.
//
// A [Server] listens on 127.0.0.1 only, keeps its data in a temporary folder of its own, and can be killed and started
// again on the same data and port, which is what a test of outages and a demonstration of them need. [Server.Close]
// removes everything. A process that is killed before it can do that leaves its folder behind; on Linux its server ends
// with it, and the next [Start] or [Prepare] removes the folder. Nothing else on the machine is touched.
//
// Linux and macOS are supported. As root the server runs as an unprivileged user, since PostgreSQL refuses root.
package postgres
