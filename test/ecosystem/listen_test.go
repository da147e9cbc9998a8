package ecosystem

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// listen takes a connection out of the pool, to listen on it. What listens holds none of the pool's places.
func (s *stage) listen(ctx context.Context, channel string) (*pgx.Conn, error) {
	lease, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer lease.Release() // after Hijack it does nothing
	if _, err := lease.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return nil, err
	}
	return lease.Hijack()
}

// A listener's connection is its own: it hears what calls of the pool notify, it dies with its server, and then the pool
// gives it another one as soon as there is one.
func TestListenAndNotify(t *testing.T) {
	s := plain(t)
	conn, err := s.listen(within(t), "news")
	require.NoError(t, err)
	require.Zero(t, s.pool.Stat().Leased)
	hears := func(conn *pgx.Conn, what string) {
		t.Helper()
		_, err := s.pool.Exec(within(t), "select pg_notify('news', $1)", what)
		require.NoError(t, err)
		news, err := conn.WaitForNotification(within(t))
		require.NoError(t, err)
		require.Equal(t, what, news.Payload)
	}
	hears(conn, "one")

	var after *pgx.Conn
	s.outage(t, func(ctx context.Context) error {
		if _, err := conn.WaitForNotification(ctx); err == nil || ctx.Err() != nil {
			return errors.New("it did not notice its server's end")
		}
		if err := conn.Close(ctx); err != nil {
			return err
		}
		after, err = s.listen(ctx, "news")
		return err
	})
	hears(after, "two")
	require.NoError(t, after.Close(within(t)))
}
