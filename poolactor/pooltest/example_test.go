package pooltest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

// errTaken is what the program below says of a login that somebody else has.
var errTaken = errors.New("this login is taken")

// register is a part of a program, as it is used with a real server.
func register(ctx context.Context, pool *poolactor.Pool, login string) (int, error) {
	rows, _ := pool.Query(ctx, "insert into users (login) values ($1) returning id", login)
	id, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.ConstraintName == "users_login_key" {
		return 0, errTaken
	}
	return id, err
}

// A unit test without a database: the server in memory says what statements return.
func Example() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	server.Answer("insert into users (login) values ($1) returning id",
		pooltest.Answer{Columns: []string{"id"}, Rows: [][]any{{7}}},
		pooltest.Answer{Err: &pgconn.PgError{Code: "23505", ConstraintName: "users_login_key"}},
	)
	fmt.Println(register(ctx, pool, "ada"))
	fmt.Println(register(ctx, pool, "ada"))
	for _, st := range server.Statements() {
		fmt.Println(st.SQL, st.Args)
	}
	// Output:
	// 7 <nil>
	// 0 this login is taken
	// insert into users (login) values ($1) returning id [ada]
	// insert into users (login) values ($1) returning id [ada]
}

// What the program does in an outage.
func ExampleServer_Stop() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	server.Stop()
	impatient, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err = register(impatient, pool, "ada")
	var down *poolactor.UnavailableError
	fmt.Println("the database is down:", errors.As(err, &down))

	time.AfterFunc(10*time.Millisecond, server.Start)
	fmt.Println("whoever can wait is served:", pool.Ping(ctx))
	// Output:
	// the database is down: true
	// whoever can wait is served: <nil>
}

// A user that loses its rights while the program runs.
func ExampleServer_Refuse() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	server.Refuse("28000", `role "app" is not permitted to log in`)
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	err = pool.Ping(ctx)
	var refusal *pgconn.PgError
	fmt.Println(errors.As(err, &refusal), refusal.Message)
	// Output:
	// true role "app" is not permitted to log in
}
