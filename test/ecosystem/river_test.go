package ecosystem

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"
)

// Letter is the task of a job.
type Letter struct {
	To string `json:"to"`
}

// Kind names the jobs that are about letters.
func (Letter) Kind() string { return "letter" }

// postman works jobs: he tells which letter he has.
type postman struct {
	river.WorkerDefaults[Letter]
	has chan string
}

// Work tells of the letter.
func (p *postman) Work(ctx context.Context, job *river.Job[Letter]) error {
	select {
	case p.has <- job.Args.To:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// River's driver for pgx takes jackc's pool by its type, so River is at home here through database/sql. It polls then,
// which it does anyway if its news are late.
func TestRiver(t *testing.T) {
	s := plain(t)
	db := openDB(t, s.pool)
	driver := riverdatabasesql.New(db)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = migrator.Migrate(within(t), rivermigrate.DirectionUp, nil)
	require.NoError(t, err)

	workers, post := river.NewWorkers(), &postman{has: make(chan string)}
	river.AddWorker(workers, post)
	client, err := river.NewClient(driver, &river.Config{
		FetchPollInterval: 50 * time.Millisecond, FetchCooldown: 50 * time.Millisecond,
		Logger:  slog.New(slog.DiscardHandler),
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}},
		Workers: workers,
	})
	require.NoError(t, err)
	require.NoError(t, client.Start(context.Background()))
	stop := func() { require.NoError(t, client.Stop(within(t))) }
	t.Cleanup(stop)

	// A job is part of whatever else its transaction does.
	s.exec(t, "create table sent (to_whom text)")
	send := func(to string, outcome error) func(context.Context) error {
		return func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := client.InsertTx(ctx, tx, Letter{To: to}, nil); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "insert into sent values ($1)", to); err != nil {
				return err
			}
			if outcome != nil {
				return outcome
			}
			return tx.Commit()
		}
	}
	oops := errors.New("oops")
	require.ErrorIs(t, send("nobody", oops)(within(t)), oops)
	require.NoError(t, send("Ada", nil)(within(t)))
	require.Equal(t, "Ada", post.next(t))

	// River's own calls wait as well, or are repeated by it: what is sent in an outage arrives.
	s.outage(t, send("Grace", nil))
	require.Equal(t, "Grace", post.next(t))

	require.Eventually(t, func() bool { return completed(t, db) == 2 }, patience, 10*time.Millisecond)
	stop()
	require.Zero(t, s.pool.Stat().Leased)
}

// next waits for the postman's next letter.
func (p *postman) next(t *testing.T) string {
	t.Helper()
	select {
	case to := <-p.has:
		return to
	case <-within(t).Done():
		require.Fail(t, "no letter")
		return ""
	}
}

// completed counts the jobs of which River knows that they were done.
func completed(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	row := db.QueryRowContext(within(t), "select count(*) from river_job where state = 'completed'")
	require.NoError(t, row.Scan(&n))
	return n
}
