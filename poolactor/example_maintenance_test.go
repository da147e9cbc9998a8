package poolactor_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

// Retry runs the whole transaction again if the server asks for it, or if the connection is lost before the COMMIT.
func ExamplePool_Retry() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	const withdraw = "update accounts set balance = balance - 5 where id = 1"
	server.Answer(withdraw, // the first one meets a serialization failure
		pooltest.Answer{Err: &pgconn.PgError{Code: "40001"}}, pooltest.Answer{Tag: "UPDATE 1"})

	attempts := 0
	policy := poolactor.RetryPolicy{TxOptions: pgx.TxOptions{IsoLevel: pgx.Serializable}}
	err = pool.Retry(ctx, policy, func(ctx context.Context, tx pgx.Tx) error {
		attempts++
		_, err := tx.Exec(ctx, withdraw)
		return err
	})
	fmt.Println(attempts, "attempts:", err)
	// Output:
	// 2 attempts: <nil>
}

// For a restart of the server, or a move to another one: callers wait, and nobody fails.
func ExamplePool_Evict() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	if err := pool.Ping(ctx); err != nil {
		fmt.Println(err)
		return
	}

	if err := pool.Suspend(ctx); err != nil { // returns when no lease is out
		fmt.Println(err)
		return
	}
	if err := pool.Evict(ctx, 0); err != nil { // returns when no connection is open
		fmt.Println(err)
		return
	}
	fmt.Println("open while suspended:", pool.Contact().Open)
	server.Stop() // the maintenance
	server.Start()
	if err := pool.Resume(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("afterwards:", pool.Ping(ctx))
	// Output:
	// open while suspended: 0
	// afterwards: <nil>
}
