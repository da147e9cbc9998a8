package poolactor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// The examples run against a server in memory, so that their output is checked without PostgreSQL. An application begins
// with ParseConfig, as this one does. README.md shows this code, but for what belongs to the server in memory.
func Example() {
	server := pooltest.New()
	defer server.Close()

	program := func(ctx context.Context, dsn string) error {
		cfg, err := poolactor.ParseConfig(dsn)
		if err != nil {
			return err
		}

		inMemory := server.Config()
		cfg.DialFunc, cfg.CancelDialFunc, cfg.LookupFunc = inMemory.DialFunc, inMemory.CancelDialFunc, inMemory.LookupFunc

		pool, err := poolactor.Open(ctx, cfg)
		if err != nil {
			return err
		}
		defer pool.Close()

		// One statement: the pool leases a connection for it.
		var version string
		if err := pool.QueryRow(ctx, "show server_version").Scan(&version); err != nil {
			return err
		}

		// A transaction: it is committed if the function returns nil.
		err = pool.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "update users set name = $1 where login = $2", "Ada Lovelace", "ada")
			return err
		})
		if err != nil {
			return err
		}

		// Several statements on the same connection: a lease, with a label that says who holds it. Release takes back what
		// SET changed.
		lease, err := pool.Acquire(poolactor.WithLabel(ctx, "report"))
		if err != nil {
			return err
		}
		defer lease.Release()
		if _, err := lease.Exec(ctx, "set statement_timeout = '5min'"); err != nil {
			return err
		}
		rows, _ := lease.Query(ctx, "select 7 from generate_series(1, $1)", 3)
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			return err
		}

		shared := pool.Shared()
		var seven int
		if err := shared.QueryRow(ctx, "select 7").Scan(&seven); err != nil {
			return err
		}
		// What may run twice is sent again if its connection is lost.
		if _, err := shared.Idempotent().Exec(ctx, "delete from sessions where login = $1", "ada"); err != nil {
			return err
		}

		fmt.Println("server:", version)
		fmt.Println("numbers:", numbers)
		return nil
	}
	fmt.Println(program(context.Background(), "postgres://app:secret@db.test:5432/app?sslmode=disable"))
	// Output:
	// server: 15.0
	// numbers: [7 7 7]
	// <nil>
}

// Many callers share a few connections. What is about the session has no place there.
func ExamplePool_Shared() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	shared := pool.Shared()
	tag, err := shared.Exec(ctx, "insert into visits values ($1)", 7)
	fmt.Println(tag, err)
	_, err = shared.Exec(ctx, "set statement_timeout = '5min'")
	fmt.Println(errors.Is(err, poolactor.ErrNotShared), err)
	// Output:
	// INSERT 0 1 <nil>
	// true poolactor: the statement cannot share a connection: run it on a lease (Acquire, With, WithTx): SET changes the session
}

// With leases a connection for the time of a function, and releases it however that ends.
func ExamplePool_With() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	err = pool.With(ctx, func(ctx context.Context, lease *poolactor.Lease) error {
		if _, err := lease.Exec(ctx, "insert into visits values (now())"); err != nil {
			return err
		}
		return errors.New("something else went wrong")
	})
	fmt.Println(err)
	fmt.Println("leased:", pool.Stat().Leased)
	// Output:
	// something else went wrong
	// leased: 0
}

// WithTx commits if the function returns nil, and rolls back if it returns an error or panics.
func ExamplePool_WithTx() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	err = pool.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "update accounts set balance = balance - 5 where id = 1"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "update accounts set balance = balance + 5 where id = 2")
		return err
	})
	switch {
	case errors.Is(err, poolactor.ErrOutcomeUnknown):
		fmt.Println("the connection was lost while the commit was under way: look whether it is there")
	case err != nil:
		fmt.Println("nothing was changed:", err)
	default:
		fmt.Println("done")
	}
	for _, statement := range server.Statements() {
		fmt.Println(statement.SQL)
	}
	// Output:
	// done
	// begin
	// update accounts set balance = balance - 5 where id = 1
	// update accounts set balance = balance + 5 where id = 2
	// commit
}

// A server that lets nobody in makes calls wait. What ends the wait says what was tried.
func ExampleUnavailableError() {
	server := pooltest.New()
	defer server.Close()
	server.Refuse("28P01", `password authentication failed for user "app"`)
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	_, err = pool.Exec(ctx, "select 1")
	var down *poolactor.UnavailableError
	if errors.As(err, &down) {
		fmt.Printf("server %s:%d, database %s, user %s\n", down.Target.Host, down.Target.Port, down.Target.Database, down.Target.User)
		fmt.Println("attempts:", down.Attempts)
		fmt.Println("refused for good:", down.Refused)
	}
	// Output:
	// server db.test:5432, database app, user app
	// attempts: 1
	// refused for good: true
}

// A label says in Holders, in errors and on the ops page who holds a connection.
func ExampleWithLabel() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	cfg := server.Config()
	cfg.MaxSize = 1
	pool, err := poolactor.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	lease, err := pool.Acquire(poolactor.WithLabel(ctx, "nightly report"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lease.Release()
	for _, holder := range pool.Holders() {
		fmt.Println("held by:", holder.Label)
	}

	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err = pool.Acquire(short)
	var exhausted *poolactor.ExhaustedError
	if errors.As(err, &exhausted) {
		fmt.Println("waited in vain for:", exhausted.Holders[0].Label)
	}
	// Output:
	// held by: nightly report
	// waited in vain for: nightly report
}

// A pool in a supervision tree of the application's own: it is up before what needs it, and stops after that.
func ExamplePool_Service() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.New(server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	tree, err := supervisor.New(supervisor.Config{Name: "app"},
		supervisor.Group{Name: "storage", Children: []supervisor.Child{pool.Service()}},
		supervisor.Group{Name: "work", Children: []supervisor.Child{{
			Name: "importer",
			New:  func() suture.Service { return importer{pool} },
		}}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := tree.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("stopped:", tree.Stop(ctx))
	<-pool.Done()
	fmt.Println("pool:", pool.Err())
	// Output:
	// stopped: <nil>
	// pool: <nil>
}

// importer is a service that uses the pool for as long as it lives.
type importer struct{ pool *poolactor.Pool }

func (importer) String() string { return "importer" }

func (i importer) Serve(ctx context.Context) error {
	if _, err := i.pool.Exec(ctx, "select 1"); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// bookkeeper is an actor that writes entries into the database. While it waits for a connection it goes on taking
// messages.
type bookkeeper struct {
	pool    *poolactor.Pool
	self    actors.Ref[bookkeeping]
	open    []string // entries that wait for a connection
	written chan<- string
}

// bookkeeping is what the bookkeeper's mailbox takes: an entry, the answer of the pool, or a question.
type bookkeeping struct {
	entry string
	lease *poolactor.Lease
	err   error
	open  actors.Reply[int]
}

func (b *bookkeeper) Start(_ context.Context, self actors.Ref[bookkeeping]) error {
	b.self = self
	return nil
}

func (b *bookkeeper) Handle(ctx context.Context, m bookkeeping) error {
	switch {
	case m.entry != "":
		b.open = append(b.open, m.entry)
		return actors.Post(ctx, b.pool.Ref(),
			func(r actors.Reply[*poolactor.Lease]) poolactor.ToPool { return poolactor.ToPool{Reply: r} },
			b.self,
			func(l *poolactor.Lease, err error) bookkeeping { return bookkeeping{lease: l, err: err} })
	case m.lease != nil:
		defer m.lease.Release()
		entry := b.open[0]
		b.open = b.open[1:]
		if _, err := m.lease.Exec(ctx, "insert into book values ($1)", entry); err != nil {
			return err
		}
		b.written <- entry
		return nil
	case m.err != nil:
		return m.err
	default:
		m.open.Send(len(b.open))
		return nil
	}
}

// An actor leases by message: the answer comes to its mailbox, and its loop is never blocked.
func ExamplePool_Ref() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	cfg := server.Config()
	cfg.MaxSize = 1
	pool, err := poolactor.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	written := make(chan string, 1)
	keeper := actors.New(actors.Options{Name: "bookkeeper", OnStop: actors.StopDrain},
		func() actors.Behavior[bookkeeping] { return &bookkeeper{pool: pool, written: written} })
	life, stop := context.WithCancel(ctx)
	stopped := make(chan error)
	go func() { stopped <- keeper.Serve(life) }()
	defer func() {
		stop()
		<-stopped
	}()
	busy, err := pool.Acquire(ctx) // the only connection there is
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := keeper.Ref().Tell(ctx, bookkeeping{entry: "three apples"}); err != nil {
		fmt.Println(err)
	}
	open, err := actors.Ask(ctx, keeper.Ref(), func(r actors.Reply[int]) bookkeeping { return bookkeeping{open: r} })
	fmt.Println("waiting for a connection:", open, err)
	busy.Release()
	fmt.Println("written:", <-written)
	// Output:
	// waiting for a connection: 1 <nil>
	// written: three apples
}

// The edge drains first, with the pool still serving, so no request that began before fails; only then the pool closes.
func ExamplePool_Shutdown() {
	db := pooltest.New()
	defer db.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, db.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	began := make(chan struct{})
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		var n int
		if err := pool.QueryRow(r.Context(), "select 7 from generate_series(1, 1)").Scan(&n); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, n)
	}), ReadHeaderTimeout: time.Second}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()

	db.Delay(50 * time.Millisecond) // a slow answer, so that the request is under way at the shutdown
	answered := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + listener.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- resp.Status + " " + string(body)
	}()
	<-began

	// What an application does on SIGTERM:
	bound, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fmt.Println("edge:", web.Shutdown(bound))
	fmt.Println("pool:", pool.Shutdown(bound))

	fmt.Println(<-answered)
	fmt.Println(errors.Is(<-served, http.ErrServerClosed))
	_, err = pool.Exec(ctx, "select 1")
	fmt.Println(errors.Is(err, poolactor.ErrClosed))
	// Output:
	// edge: <nil>
	// pool: <nil>
	// 200 OK 7
	// true
	// true
}
