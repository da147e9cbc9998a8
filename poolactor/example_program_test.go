package poolactor_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Passwords that change: a token of a cloud's identity service, a secret that is rotated. Every connection is opened with
// what is valid then, and those that are open stay.
func ExampleConfig_beforeConnect() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	var secret atomic.Value
	rotate := func(password string) { // somebody else does this, at any time
		secret.Store(password)
		server.RequirePassword(password)
	}
	rotate("monday")

	fetch := func(context.Context) (string, error) { // asks the service, in an application
		return secret.Load().(string), nil
	}
	cfg := server.Config()
	cfg.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		password, err := fetch(ctx)
		if err != nil {
			return err // this attempt fails, and the next one asks again
		}
		cc.Password = password
		return nil
	}
	pool, err := poolactor.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	fmt.Println("first:", pool.Ping(ctx))
	rotate("tuesday")
	if err := pool.Evict(ctx, 0); err != nil { // an application waits for MaxLifetime instead
		fmt.Println(err)
	}
	fmt.Println("second:", pool.Ping(ctx))
	// Output:
	// first: <nil>
	// second: <nil>
}

// readiness answers whether this instance can serve requests now. It asks nothing of the server: the pool knows.
func readiness(pool *poolactor.Pool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-pool.Done():
			http.Error(w, fmt.Sprintf("the pool has ended: %v", pool.Err()), http.StatusServiceUnavailable)
			return
		default:
		}
		outage := pool.Stat().Outage
		if !outage.Since.IsZero() && pool.Contact().Verified == 0 {
			http.Error(w, fmt.Sprintf("no database since %v, after %d attempts: %v",
				outage.Since.Format(time.RFC3339), outage.Attempts, outage.Cause), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	}
}

// A health endpoint. Liveness is another question: a process whose database is down is alive, and restarting it helps
// nobody.
func Example_healthEndpoint() {
	server := pooltest.New()
	defer server.Close()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	cfg := server.Config()
	cfg.MinSize = 1 // the pool looks for the server, also when nobody calls
	pool, err := poolactor.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	events := pool.Events(ctx)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", readiness(pool))
	status := func(path string) int {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return answer.Code
	}
	await := func(kind poolactor.EventKind) {
		for e := range events {
			if e.Kind == kind {
				return
			}
		}
	}

	fmt.Println("works:", pool.Ping(ctx), status("/readyz"))
	server.Stop()
	await(poolactor.EventOutage)
	fmt.Println("is down:", status("/livez"), status("/readyz"))
	server.Start()
	fmt.Println("is back:", pool.Ping(ctx), status("/readyz"))
	fmt.Println("closed:", pool.Close(), status("/readyz"))
	// Output:
	// works: <nil> 200
	// is down: 200 503
	// is back: <nil> 200
	// closed: <nil> 503
}

// visit tells the visitors' actor of one, or asks it how many there were.
type visit struct {
	page  string
	count actors.Reply[int]
}

// visitors is one life of an actor that counts visits. What it knows it can read from the database, so a crash loses
// nothing that was written.
type visitors struct {
	pool  *poolactor.Pool
	count int
}

func (v *visitors) Start(ctx context.Context, _ actors.Ref[visit]) error {
	return v.pool.QueryRow(ctx, "select count(*) from visits").Scan(&v.count)
}

func (v *visitors) Handle(ctx context.Context, m visit) error {
	if m.page == "" {
		m.count.Send(v.count)
		return nil
	}
	if _, err := v.pool.Exec(ctx, "insert into visits (page) values ($1)", m.page); err != nil {
		return err // the supervisor begins another life
	}
	v.count++
	return nil
}

// An actor of your own under the same tree as the pool: it starts when the pool is up, stops before it, and is restarted
// when it crashes. Others tell and ask it by its Ref, which outlives its crashes.
func Example_ownActor() {
	server := pooltest.New()
	defer server.Close()
	server.Answer("select count(*) from visits", pooltest.Answer{Columns: []string{"count"}, Rows: [][]any{{40}}})
	ctx := context.Background()
	pool, err := poolactor.New(server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	counter := actors.New(actors.Options{Name: "visitors"},
		func() actors.Behavior[visit] { return &visitors{pool: pool} })
	tree, err := supervisor.New(supervisor.Config{Name: "app"},
		supervisor.Group{Name: "storage", Children: []supervisor.Child{pool.Service()}},
		supervisor.Group{Name: "work", Children: []supervisor.Child{{
			Name: "visitors",
			New:  func() suture.Service { return counter },
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

	for _, page := range []string{"/", "/about"} {
		if err := counter.Ref().Tell(ctx, visit{page: page}); err != nil {
			fmt.Println(err)
		}
	}
	count, err := actors.Ask(ctx, counter.Ref(), func(r actors.Reply[int]) visit { return visit{count: r} })
	fmt.Println("visits:", count, err)
	fmt.Println("stopped:", tree.Stop(ctx))
	// Output:
	// visits: 42 <nil>
	// stopped: <nil>
}
