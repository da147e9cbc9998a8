package lab

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Row 10: the server refuses for good, until somebody cures it. While connections are open they serve everybody; when
// none is, every call is told at once, in the server's words.

// refusal is one reason to refuse.
type refusal struct {
	id, fault    string
	options      func() (postgres.Options, error) // of the server; nil: those of all
	query        string                           // what the connection string ends in
	cause, cure  []string                         // statements of a superuser
	code         string                           // the SQLSTATE that callers are told
	text         string                           // or what the error says, where the server only says no
	endsSessions bool                             // the cause needs that nobody is connected, or sees to it
}

const (
	refusedUser     = "app"
	refusedDatabase = "app"
)

// beingTold is what the time of the slowest call is called that was refused.
const beingTold = "being told of a refusal"

func refusals() []Row {
	all := []refusal{{
		id: "10-password", fault: "password changed and back", code: "28P01",
		cause: []string{"alter role app password 'another'"}, cure: []string{"alter role app password 'secret'"},
	}, {
		id: "10-nologin", fault: "role NOLOGIN and back", code: "28000",
		cause: []string{"alter role app nologin"}, cure: []string{"alter role app login"},
	}, {
		id: "10-database", fault: "database dropped and created", code: "3D000", endsSessions: true,
		cause: []string{"create database kept template app", "drop database app"},
		cure:  []string{"create database app template kept", "drop database kept"},
	}, {
		id: "10-tls", fault: "TLS turned off and on, sslmode=require", text: "server refused TLS connection",
		options: withTLS, query: "sslmode=require",
		cause: []string{"alter system set ssl = off", "select pg_reload_conf()"},
		cure:  []string{"alter system set ssl = on", "select pg_reload_conf()"},
	}}
	bounds := []Bound{TookWithin(beingTold, toldWithin), FirstWithin(recovery)}
	var rows []Row
	for _, r := range all {
		rows = append(rows, Row{
			ID: r.id, Fault: r.fault, Timed: true, Short: r.code == "28P01", Bounds: bounds, Run: r.run,
		})
	}
	return rows
}

func withTLS() (postgres.Options, error) {
	files, _, err := postgres.Certificate()
	return postgres.Options{Settings: map[string]string{"ssl": "on"}, Files: files}, err
}

// run: first ten connections are open and more callers come, then none is open, then the cure.
func (r refusal) run(ctx context.Context, l *Lab, k Kind) (Result, error) {
	var o postgres.Options
	if r.options != nil {
		var err error
		if o, err = r.options(); err != nil {
			return Result{}, err
		}
	}
	o.HBA = append(o.HBA, "host all "+refusedUser+" 127.0.0.1/32 scram-sha-256")
	server, err := l.server(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer server.Close()
	err = execute(ctx, server.DSN(), "create role app login password 'secret'", "create database app")
	if err != nil {
		return Result{}, err
	}
	setup := r.setup(server.DSN())
	setup.Log = server.Log
	x, err := Begin(ctx, k, setup)
	if err != nil {
		return Result{}, err
	}
	err = r.happen(ctx, x, server.DSN())
	return x.Finish(ctx), err
}

func (r refusal) setup(dsn string) Setup {
	audit := parsed(dsn)
	audit.Path = "/" + refusedDatabase
	app := *audit
	app.User = url.UserPassword(refusedUser, "secret")
	if r.query != "" {
		app.RawQuery = r.query
	}
	return Setup{DSN: app.String(), Audit: audit.String(), Callers: defaultSize / 2}
}

func (r refusal) happen(ctx context.Context, x *Experiment, dsn string) error {
	if !r.endsSessions {
		if err := r.whileOpen(ctx, x, dsn); err != nil {
			return err
		}
	}
	x.load.pause()
	if err := endSessions(ctx, dsn, "usename = '"+refusedUser+"'"); err != nil {
		return err
	}
	if r.endsSessions {
		if err := execute(ctx, dsn, r.cause...); err != nil {
			return err
		}
	}
	f := x.StrikeNow()
	x.load.resume()
	Pass(ctx, time.Second)
	if err := execute(ctx, dsn, r.cure...); err != nil {
		return err
	}
	cured := time.Now()
	first := x.First(ctx, f, cured, 0)
	Pass(ctx, 500*time.Millisecond)
	r.hold(x, f, cured, first)
	return nil
}

// whileOpen lets more callers come than there are connections. Nobody may fail, and somebody must get through.
func (r refusal) whileOpen(ctx context.Context, x *Experiment, dsn string) error {
	if err := execute(ctx, dsn, r.cause...); err != nil {
		return err
	}
	refused := time.Now()
	x.load.add(defaultCallers - x.setup.Callers)
	Pass(ctx, time.Second)
	if x.load.firstSuccess(refused).IsZero() {
		x.Fail("nobody got through while connections were open")
	}
	return nil
}

// hold judges the calls in the time in which no connection was open.
func (r refusal) hold(x *Experiment, f *Fault, cured, first time.Time) {
	var slowest time.Duration
	told, waited := 0, 0
	refused := func(c Call) bool {
		return c.Err != nil && c.Granted.IsZero() && c.Ended.After(f.At) && c.Began.Before(first) && r.says(c.Err)
	}
	for _, c := range x.load.made() {
		if refused(c) && c.Ended.Before(cured) {
			told++
			slowest = max(slowest, c.Ended.Sub(c.Began))
		} else if waitedIn(c, f.At, cured, toldWithin+x.late.seen()) {
			waited++
		}
	}
	if told == 0 {
		x.Fail("nobody was told of the refusal")
	}
	if most := probesIn(cured.Sub(f.At)); waited > most {
		x.Against("%d calls that began while the server refused were not told, %d may wait for a look at it", waited, most)
	}
	x.Took(beingTold, slowest, x.late.seen())
	x.Excuse(refused)
}

// waitedIn tells whether a call began in a refusal, so long before the cure that it should have been told, and was not.
func waitedIn(c Call, refused, cured time.Time, within time.Duration) bool {
	return c.Began.After(refused) && c.Began.Before(cured.Add(-within)) && !c.Ended.Before(cured)
}

// toldWithin is how long it may take to tell a call of the refusal.
const toldWithin = 100 * time.Millisecond

// probesIn is how many calls may wait for a look at the server in a time: one a second, and the one that was first.
func probesIn(refusal time.Duration) int { return 1 + int(refusal/time.Second) }

// says tells whether an error gives the server's reason.
func (r refusal) says(err error) bool {
	if r.code != "" {
		return code(err) == r.code
	}
	return strings.Contains(fmt.Sprint(err), r.text)
}
