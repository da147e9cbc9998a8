package pgxpool_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pgxpool"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

const dsn = "postgres://app:secret@db.test:5432/app?sslmode=disable"

// The examples run against a server in memory; an application leaves this out.
func inMemory(c *pgxpool.Config, server *pooltest.Server) {
	to := server.ConnConfig()
	c.ConnConfig.DialFunc, c.ConnConfig.LookupFunc = to.DialFunc, to.LookupFunc
}

func Example() {
	server := pooltest.New()
	defer server.Close()

	program := func(ctx context.Context, url string) error {
		config, err := pgxpool.ParseConfig(url)
		if err != nil {
			return err
		}
		inMemory(config, server)

		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return err
		}
		defer pool.Close()

		rows, _ := pool.Query(ctx, "select 7 from generate_series(1, $1)", 3)
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			return err
		}
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "update users set name = $1 where login = $2", "Ada Lovelace", "ada")
			return err
		})
		fmt.Println(numbers)
		return err
	}
	fmt.Println(program(context.Background(), dsn+"&pool_max_conns=10"))
	// Output:
	// [7 7 7]
	// <nil>
}

// A password that does not last is fetched when it is needed, and kept for as long as it is good: in an outage it is asked
// for many times a second. Each connection is made ready before anybody has it.
func ExampleConfig() {
	server := pooltest.New()
	defer server.Close()
	server.RequirePassword("fetched a moment ago")
	fetch := func(context.Context) (string, error) { return "fetched a moment ago", nil }

	ctx := context.Background()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		fmt.Println(err)
		return
	}
	inMemory(config, server)
	var token struct {
		sync.Mutex
		password string
		until    time.Time
	}
	config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		token.Lock()
		defer token.Unlock()
		if time.Now().After(token.until) {
			password, err := fetch(ctx)
			if err != nil {
				return err
			}
			token.password, token.until = password, time.Now().Add(10*time.Minute)
		}
		c.Password = token.password
		return nil
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set timezone = 'UTC'")
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	var zone string
	fmt.Println(pool.QueryRow(ctx, "show timezone").Scan(&zone), zone)
	// Output: <nil> UTC
}

// What pgxpool has no name for is at the pool below.
func ExamplePool_Supervised() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		fmt.Println(err)
		return
	}
	inMemory(config, server)
	config.Tune = func(c *poolactor.Config) { c.MaxWaiters = 100 }
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	conn, err := pool.Acquire(poolactor.WithLabel(ctx, "report"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range pool.Supervised().Holders() {
		fmt.Println("held by", h.Label)
	}
	conn.Release()
	fmt.Println(pool.Supervised().Suspend(ctx), pool.Supervised().Resume())
	// Output:
	// held by report
	// <nil> <nil>
}
