// Package remedy says what a person can do about a database that does not let the daemon in.
package remedy

import (
	"errors"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// For is what to do about the failure of an attempt to connect: one or two sentences, never empty, never with a secret
// in them. nil is answered like a failure of which nothing is known.
func For(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		if text := answered(answer.Code); text != "" {
			return text
		}
		return "Look the code " + answer.Code + " up in the appendix \"PostgreSQL Error Codes\" of its manual, and into the server's log."
	}
	for _, known := range network {
		if errors.Is(err, known.errno) {
			return known.text
		}
	}
	if err != nil {
		for _, known := range texts {
			if strings.Contains(err.Error(), known.part) {
				return known.text
			}
		}
	}
	return "See whether the server runs and can be reached from here, and look into its log."
}

// answered is what to do about an answer of the server; empty if its code is none that start-ups usually meet.
func answered(code string) string {
	switch code {
	case "28P01":
		return "Set the right password for this user: DATABASE_PASSWORD, a line in ~/.pgpass, or database.password."
	case "3D000":
		return "Create the database (createdb), or set database.database (DATABASE_DATABASE) to one that is there."
	case "42501":
		return "Grant the user what is missing (GRANT CONNECT ON DATABASE ... TO ...), or use another one."
	case "42704", "22023":
		return "Take the setting that the server does not know out of database.runtime_params, or correct its value."
	case "0A000":
		return "The server, or a pooler before it, does not support what was asked for: look at database.runtime_params and" +
			" database.default_query_exec_mode."
	case "53300":
		return "The server's connections are all taken: lower database.pool_max_size here or elsewhere, or raise max_connections there."
	case "57P03":
		return "The server is starting, stopping or recovering. Wait; if it takes long, look into its log."
	}
	if strings.HasPrefix(code, "28") {
		return "Let this user in from this address: look at pg_hba.conf on the server, and at database.user and database.sslmode here."
	}
	return ""
}

const whereToLook = " See whether database.host and database.port (DATABASE_URL, DATABASE_HOST, DATABASE_PORT) are the right ones"

var network = []struct {
	errno syscall.Errno
	text  string
}{
	{syscall.ECONNREFUSED, "Nobody listens there: start the server." + whereToLook + "."},
	{syscall.ENOENT, "There is no such Unix socket: start the server, or set database.host to the folder of its socket."},
	{syscall.EACCES, "This process may not use that Unix socket: look at the permissions of its folder."},
	{syscall.EHOSTUNREACH, "There is no way to that host: look at the network." + whereToLook + "."},
	{syscall.ENETUNREACH, "There is no way to that network: look at the network." + whereToLook + "."},
}

// texts are for failures that have no type of their own, or lost it where secrets were taken out of them.
var texts = []struct{ part, text string }{
	{"server refused TLS connection", "The server has no TLS: turn it on there, or set database.sslmode to prefer or disable."},
	{"x509:", "The server's certificate does not verify: give its authority in sslrootcert (PGSSLROOTCERT), or connect by the name it was made for."},
	{"tls:", "The encrypted connection failed: compare database.sslmode with what the server offers."},
	{"no such host", "The name is unknown: look at database.host (DATABASE_HOST) and at the name server."},
	{"hostname resolving", "The name could not be resolved: look at database.host (DATABASE_HOST) and at the name server."},
	{"timeout", noAnswer},
	{"deadline exceeded", noAnswer},
	{"no log-in within", noAnswer},
	{"no answer to", "The server is there and hangs, or the network swallows what is sent: look at the load of its machine, and whether it is" +
		" paused, and at the network between. Calls wait meanwhile."},
}

const noAnswer = "Nobody answers: a firewall may be in the way, or the server hangs." + whereToLook +
	", and whether database.connection_timeout is long enough."
