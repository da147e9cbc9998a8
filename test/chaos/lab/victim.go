package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Row 17, the death of the process: this program runs once more, with a pool, and is killed.

// The victim finds in its environment what to connect to, and with which pool.
const (
	victimServer = "SUPERVISED_LAB_VICTIM_SERVER"
	victimPool   = "SUPERVISED_LAB_VICTIM_POOL"
)

// victimReady is what it says when its connections rest, idle and are busy.
const victimReady = "ready"

// Victim is what main begins with: if this process was started to be killed, it does its work, which does not end by
// itself, and returns true.
func Victim() bool {
	dsn := os.Getenv(victimServer)
	if dsn == "" {
		return false
	}
	fmt.Fprintln(os.Stderr, "chaos: victim:", suffer(context.Background(), Kind(os.Getenv(victimPool)), dsn))
	return true
}

// A quarter of the victim's connections is busy, a quarter is leased and idle, the rest rests.
const (
	victimBusy = defaultSize / 4
	victimIdle = defaultSize / 4
)

// suffer opens every connection, and holds some. It returns only what went wrong.
func suffer(ctx context.Context, k Kind, dsn string) error {
	pool, err := open(ctx, k, dsn, Tuning{Size: defaultSize}, &meter{})
	if err != nil {
		return err
	}
	var holding, over sync.WaitGroup
	errs, release := make(chan error, defaultSize), make(chan struct{})
	holding.Add(defaultSize)
	for i := range defaultSize {
		over.Go(func() {
			errs <- pool.Do(ctx, func(ctx context.Context, s Session, _ *pgconn.PgConn) error {
				holding.Done()
				holding.Wait()
				switch {
				case i < victimBusy:
					_, err := s.Exec(ctx, "select pg_sleep(600)")
					return err
				case i < victimBusy+victimIdle:
					<-release
				}
				return nil
			})
		})
	}
	for range defaultSize - victimBusy - victimIdle {
		if err := <-errs; err != nil {
			return err
		}
	}
	fmt.Println(victimReady)
	over.Wait()
	return errors.New("nobody killed it")
}

// killVictim kills a process and looks what becomes of its backends.
func killVictim(ctx context.Context, l *Lab, k Kind) (Result, error) {
	return l.on(ctx, k, postgres.Options{}, Setup{Callers: -1}, func(x *Experiment, server *postgres.Server) error {
		victim, err := startVictim(ctx, k, server.DSN())
		if err != nil {
			return err
		}
		watch, err := watchBackends(ctx, server.DSN(), victimBusy, defaultSize)
		x.late.reset()
		began := time.Now()
		_ = victim.Process.Kill() // it is there until it is waited for
		_ = victim.Wait()         // it says that it was killed
		if err != nil {
			return err
		}
		bounded, cancel := context.WithTimeout(ctx, victimWatch)
		defer cancel()
		watch.timed(bounded, x, began)
		if bounded.Err() != nil {
			x.Note("some were still there after %v, when nobody looked any more", victimWatch)
		}
		return nil
	})
}

// victimWatch is how long is looked for backends that stay, as those of a peer may.
const victimWatch = 10 * time.Second

// startVictim returns when the victim is ready.
func startVictim(ctx context.Context, k Kind, dsn string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	victim := exec.CommandContext(ctx, self)
	victim.Env = append(os.Environ(), victimServer+"="+dsn, victimPool+"="+string(k))
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := victim.Start(); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != victimReady+"\n" {
		_ = victim.Process.Kill()
		_ = victim.Wait()
		return nil, fmt.Errorf("the process that is to be killed was not ready: it said %q, %w", line, errors.Join(err, io.EOF))
	}
	return victim, nil
}
