package stdlib

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// OpenDB returns a *sql.DB on a pool. Closing it leaves the pool open: the pool is its maker's to close, after the *sql.DB.
// Several may be opened on one pool.
func OpenDB(pool *poolactor.Pool) *sql.DB {
	db := sql.OpenDB(Connector(pool))
	db.SetMaxIdleConns(-1) // they would be leases that nobody uses
	return db
}

// Connector is what OpenDB hands to sql.OpenDB, for those who want to wrap it. Its Connect leases a connection, with the
// errors of poolactor.Pool.Acquire. Call SetMaxIdleConns(-1) of the *sql.DB, as OpenDB does: what it keeps idle is a lease that
// nobody else can have.
func Connector(pool *poolactor.Pool) driver.Connector {
	return &connector{pool: pool, plans: newPlans()}
}

type connector struct {
	pool  *poolactor.Pool
	plans *plans
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	lease, err := c.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{pool: c.pool, plans: c.plans, lease: lease}, nil
}

func (*connector) Driver() driver.Driver { return poolDriver{} }

// poolDriver is what sql.DB.Driver returns.
type poolDriver struct{}

var errOpen = errors.New("stdlib: a pool is no connection string: open it with poolactor.Open and use OpenDB")

func (poolDriver) Open(string) (driver.Conn, error) { return nil, errOpen }
