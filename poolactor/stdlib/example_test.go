package stdlib_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
	"github.com/seed-4ff2b7b9/supervised/poolactor/stdlib"
)

// The example runs against a server in memory, so that its output is checked without PostgreSQL.
func ExampleOpenDB() {
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
		db := stdlib.OpenDB(pool)
		defer db.Close()

		// A call leases a connection and gives it back.
		result, err := db.ExecContext(ctx, "update users set name = $1 where login = $2", "Ada Lovelace", "ada")
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err != nil {
			return err
		}

		// A transaction has one until its end.
		tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "delete from visits where login = $1", "ada"); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}

		// What database/sql cannot scan, pgx can.
		var numbers []int
		scanned := pgtype.NewMap().SQLScanner(&numbers)
		if err := db.QueryRowContext(ctx, "select '{1,2,3}'::text").Scan(scanned); err != nil {
			return err
		}

		fmt.Println("changed:", changed)
		fmt.Println("numbers:", numbers)
		fmt.Println("leased:", pool.Stat().Leased)
		return nil
	}
	fmt.Println(program(context.Background(), "postgres://app:secret@db.test:5432/app?sslmode=disable"))
	// Output:
	// changed: 1
	// numbers: [1 2 3]
	// leased: 0
	// <nil>
}

// Raw gives the connection itself, for what database/sql has no words for.
func ExampleConn_Conn() {
	server := pooltest.New()
	defer server.Close()
	ctx := context.Background()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	db := stdlib.OpenDB(pool)
	defer db.Close()

	conn, err := db.Conn(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	err = conn.Raw(func(driverConn any) error {
		pgxConn := driverConn.(*stdlib.Conn).Conn()
		fmt.Println("server:", pgxConn.PgConn().ParameterStatus("server_version"))
		return nil
	})
	fmt.Println(err)
	// Output:
	// server: 15.0
	// <nil>
}
