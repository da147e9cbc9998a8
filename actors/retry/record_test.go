package retry

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// calls counts calls of a DialFunc.
type calls struct {
	mu   sync.Mutex
	list []call
}

type call struct {
	at      time.Time
	address string
}

func (c *calls) counted(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c.mu.Lock()
		c.list = append(c.list, call{time.Now(), address})
		c.mu.Unlock()
		return dial(ctx, network, address)
	}
}

func (c *calls) all() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// times lists when the calls were made, after since.
func (c *calls) times(since time.Time) []time.Duration {
	var list []time.Duration
	for _, call := range c.all() {
		list = append(list, call.at.Sub(since))
	}
	return list
}

// addresses lists where the calls led.
func (c *calls) addresses() []string {
	var list []string
	for _, call := range c.all() {
		list = append(list, call.address)
	}
	return list
}

// most is the largest number of calls in any window of that length.
func (c *calls) most(window time.Duration) int {
	list, most := c.all(), 0
	for i := range list {
		n := 0
		for _, later := range list[i:] {
			if later.at.Sub(list[i].at) <= window {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// journal is what was logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// lines are the lines of one level.
func (j *journal) lines(t *testing.T, level zerolog.Level) []map[string]any {
	t.Helper()
	var found []map[string]any
	decoder := json.NewDecoder(bytes.NewReader([]byte(j.String())))
	for decoder.More() {
		var line map[string]any
		require.NoError(t, decoder.Decode(&line))
		if line["level"] == level.String() {
			found = append(found, line)
		}
	}
	return found
}
