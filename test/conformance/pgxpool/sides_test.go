package pgxpool_test

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	theirs "github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	ours "github.com/seed-4ff2b7b9/supervised/poolactor/pgxpool"
)

// This file is what makes the two packages one: a case is written once, against these interfaces.

// statements is what pools, connections and transactions have in common.
type statements interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error)
}

type starter interface {
	statements
	Begin(ctx context.Context) (pgx.Tx, error)
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
	Ping(ctx context.Context) error
}

type conn interface {
	starter
	Release()
	Hijack() *pgx.Conn
	Conn() *pgx.Conn
}

type stat interface {
	AcquireCount() int64
	AcquireDuration() time.Duration
	AcquiredConns() int32
	CanceledAcquireCount() int64
	ConstructingConns() int32
	EmptyAcquireCount() int64
	EmptyAcquireWaitTime() time.Duration
	IdleConns() int32
	MaxConns() int32
	MaxIdleDestroyCount() int64
	MaxLifetimeDestroyCount() int64
	NewConnsCount() int64
	TotalConns() int32
}

type pool interface {
	starter
	Acquire(ctx context.Context) (conn, error)
	AcquireFunc(ctx context.Context, f func(conn) error) error
	AcquireAllIdle(ctx context.Context) []conn
	Reset()
	Close()
	Stat() stat
}

// native is a pool of either package, with its own types.
type native[C conn, S stat] interface {
	starter
	Acquire(ctx context.Context) (C, error)
	AcquireFunc(ctx context.Context, f func(C) error) error
	AcquireAllIdle(ctx context.Context) []C
	Reset()
	Close()
	Stat() S
}

type wrapped[C conn, S stat] struct{ native[C, S] }

func (w wrapped[C, S]) Acquire(ctx context.Context) (conn, error) {
	c, err := w.native.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (w wrapped[C, S]) AcquireFunc(ctx context.Context, f func(conn) error) error {
	return w.native.AcquireFunc(ctx, func(c C) error { return f(c) })
}

func (w wrapped[C, S]) AcquireAllIdle(ctx context.Context) (all []conn) {
	for _, c := range w.native.AcquireAllIdle(ctx) {
		all = append(all, c)
	}
	return all
}

func (w wrapped[C, S]) Stat() stat { return w.native.Stat() }

// settings are those of a configuration, without the types of either package. What is nil is left as it is.
type settings struct {
	params string // of the connection string: "pool_max_conns=2 ..."
	ctx    context.Context
	conn   func(*pgx.ConnConfig)

	beforeConnect func(context.Context, *pgx.ConnConfig) error
	afterConnect  func(context.Context, *pgx.Conn) error
	beforeAcquire func(context.Context, *pgx.Conn) bool
	prepareConn   func(context.Context, *pgx.Conn) (bool, error)
	afterRelease  func(*pgx.Conn) bool
	beforeClose   func(*pgx.Conn)
	shouldPing    func(context.Context, *pgx.Conn, time.Duration) bool
	trace         *spy
	drain         time.Duration // how long ours waits for leases when it is closed
}

// spy is a tracer of either package.
type spy struct {
	start   func(context.Context) context.Context
	end     func(context.Context, *pgx.Conn, error)
	release func(*pgx.Conn)
	query   func(sql string)
}

func (s *spy) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if s.query != nil {
		s.query(data.SQL)
	}
	return ctx
}

func (*spy) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

type theirSpy struct{ *spy }

func (s theirSpy) TraceAcquireStart(ctx context.Context, _ *theirs.Pool, _ theirs.TraceAcquireStartData) context.Context {
	return s.start(ctx)
}

func (s theirSpy) TraceAcquireEnd(ctx context.Context, _ *theirs.Pool, data theirs.TraceAcquireEndData) {
	s.end(ctx, data.Conn, data.Err)
}

func (s theirSpy) TraceRelease(_ *theirs.Pool, data theirs.TraceReleaseData) { s.release(data.Conn) }

type ourSpy struct{ *spy }

func (s ourSpy) TraceAcquireStart(ctx context.Context, _ *ours.Pool, _ ours.TraceAcquireStartData) context.Context {
	return s.start(ctx)
}

func (s ourSpy) TraceAcquireEnd(ctx context.Context, _ *ours.Pool, data ours.TraceAcquireEndData) {
	s.end(ctx, data.Conn, data.Err)
}
func (s ourSpy) TraceRelease(_ *ours.Pool, data ours.TraceReleaseData) { s.release(data.Conn) }

func (s settings) context() context.Context {
	if s.ctx == nil {
		return context.Background()
	}
	return s.ctx
}

// complete adds the parameters to a connection string, which is a URL.
func (s settings) complete(dsn string) string {
	for _, p := range strings.Fields(s.params) {
		dsn += "&" + p
	}
	return dsn
}

func openTheirs(dsn string, s settings) (pool, error) {
	c, err := theirs.ParseConfig(s.complete(dsn))
	if err != nil {
		return nil, err
	}
	c.BeforeConnect, c.AfterConnect = s.beforeConnect, s.afterConnect
	c.BeforeAcquire = s.beforeAcquire //lint:ignore SA1019 it is there, and is to work
	c.PrepareConn, c.AfterRelease, c.BeforeClose = s.prepareConn, s.afterRelease, s.beforeClose
	if s.shouldPing != nil {
		c.ShouldPing = func(ctx context.Context, p theirs.ShouldPingParams) bool {
			return s.shouldPing(ctx, p.Conn, p.IdleDuration)
		}
	}
	if s.trace != nil {
		c.ConnConfig.Tracer = theirSpy{s.trace}
	}
	if s.conn != nil {
		s.conn(c.ConnConfig)
	}
	p, err := theirs.NewWithConfig(s.context(), c)
	if err != nil {
		return nil, err
	}
	return wrapped[*theirs.Conn, *theirs.Stat]{p}, nil
}

func openOurs(dsn string, s settings) (pool, error) {
	c, err := ours.ParseConfig(s.complete(dsn))
	if err != nil {
		return nil, err
	}
	c.BeforeConnect, c.AfterConnect = s.beforeConnect, s.afterConnect
	c.BeforeAcquire = s.beforeAcquire //lint:ignore SA1019 it is there, and is to work
	c.PrepareConn, c.AfterRelease, c.BeforeClose = s.prepareConn, s.afterRelease, s.beforeClose
	if s.shouldPing != nil {
		c.ShouldPing = func(ctx context.Context, p ours.ShouldPingParams) bool {
			return s.shouldPing(ctx, p.Conn, p.IdleDuration)
		}
	}
	if s.trace != nil {
		c.ConnConfig.Tracer = ourSpy{s.trace}
	}
	if s.conn != nil {
		s.conn(c.ConnConfig)
	}
	c.Tune = func(below *poolactor.Config) { below.DrainTimeout = s.drain }
	p, err := ours.NewWithConfig(s.context(), c)
	if err != nil {
		return nil, err
	}
	return wrapped[*ours.Conn, *ours.Stat]{p}, nil
}
