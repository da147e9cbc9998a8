package actors_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// TestCrashWhileStopped: a stop excuses the error by which a handler passes it on, and nothing else.
func TestCrashWhileStopped(t *testing.T) {
	for name, c := range map[string]struct {
		end     func(context.Context) error
		crashes int
	}{
		"passes it on": {func(ctx context.Context) error { return ctx.Err() }, 0},
		"fails":        {func(context.Context) error { return errors.New("the disk is full") }, 1},
		"panics":       {func(context.Context) error { panic("in passing") }, 1},
		"throws it":    {func(ctx context.Context) error { panic(ctx.Err()) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := handling(actors.Options{}, func(ctx context.Context, _ question) error {
					<-ctx.Done()
					return c.end(ctx)
				})
				require.NoError(t, a.Ref().TryTell(question{}))
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- a.Serve(ctx) }()
				synctest.Wait()
				stop()
				err := <-ended
				require.EqualValues(t, c.crashes, a.Inspect().Crashes)
				require.Equal(t, c.crashes == 0, err == context.Canceled, "%v", err)
			})
		})
	}
}
