package pgxpool_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	theirs "github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	ours "github.com/seed-4ff2b7b9/supervised/poolactor/pgxpool"
)

// figures are the plain fields of a configuration of either package.
func figures(config any) string {
	v := reflect.ValueOf(config).Elem()
	var b strings.Builder
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int32, reflect.Int64:
			fmt.Fprintf(&b, "%s %v, ", v.Type().Field(i).Name, f.Int())
		}
	}
	return b.String()
}

// parse notes what ParseConfig of either package makes of a connection string.
func (s *side) parse(dsn string) {
	var err error
	var about any
	var conn *pgx.ConnConfig
	var text string
	if s.ours {
		var c *ours.Config
		if c, err = ours.ParseConfig(dsn); err == nil {
			about, conn, text = c, c.ConnConfig, c.ConnString()
		}
	} else {
		var c *theirs.Config
		if c, err = theirs.ParseConfig(dsn); err == nil {
			about, conn, text = c, c.ConnConfig, c.ConnString()
		}
	}
	if err != nil {
		s.ends(err)
		return
	}
	s.say("%s host %s:%d, %s@%s, %v, %v, the same string: %v", figures(about), conn.Host, conn.Port, conn.User, conn.Database,
		conn.RuntimeParams, conn.ConnectTimeout, text == dsn)
}

var configCases = []behaviour{
	{name: "ParseConfig: the defaults", run: func(s *side) { s.parse("host=db.test user=app dbname=shop") }},
	{name: "ParseConfig: a URL", run: func(s *side) {
		s.parse("postgres://app:secret@db.test:6432/shop?sslmode=disable&pool_max_conns=10&pool_max_conn_lifetime=1h30m&search_path=a")
	}},
	{name: "ParseConfig: every key", run: func(s *side) {
		s.parse("host=db.test user=app dbname=shop connect_timeout=7 pool_max_conns=42 pool_min_conns=3 pool_min_idle_conns=2 " +
			"pool_max_conn_lifetime=2h pool_max_conn_lifetime_jitter=5m pool_max_conn_idle_time=10m " +
			"pool_health_check_period=30s pool_ping_timeout=250ms application_name=app")
	}},
	{name: "ParseConfig: values at the edge", run: func(s *side) {
		for _, v := range []string{
			"pool_max_conns=1", "pool_max_conns=2147483647", "pool_min_conns=0", "pool_min_conns=-3", "pool_min_idle_conns=0",
			"pool_max_conn_lifetime=0", "pool_max_conn_lifetime=-1s", "pool_max_conn_idle_time=0s", "pool_ping_timeout=0",
			"pool_max_conn_lifetime_jitter=1500ms",
		} {
			s.parse("host=db.test user=app dbname=shop " + v)
		}
	}},
	{name: "ParseConfig: values that are none", run: func(s *side) {
		for _, v := range []string{
			"pool_max_conns=0", "pool_max_conns=-1", "pool_max_conns=x", "pool_max_conns=2147483648", "pool_min_conns=x",
			"pool_min_conns=1.5", "pool_min_idle_conns=x", "pool_max_conn_lifetime=1", "pool_max_conn_lifetime_jitter=x",
			"pool_max_conn_idle_time=1 week", "pool_health_check_period=x", "pool_ping_timeout=250", "sslmode=maybe", "port=x",
		} {
			s.parse("host=db.test user=app dbname=shop " + v)
		}
		s.parse("postgres://db.test:port/shop")
	}},
	{name: "ParseConfig: two values that are none", run: func(s *side) {
		for _, v := range []string{"pool_max_conns=x", "pool_max_conns=x pool_ping_timeout=250", "sslmode=maybe"} {
			_, err := s.open(settings{params: v})
			_, is := err.(*pgconn.ParseConfigError) //nolint:errorlint // it is what programs written for pgxpool may do
			s.say("%v, of the second value: %v", is, strings.Contains(err.Error(), "cannot parse pool_ping_timeout"))
		}
	}},
	{name: "what the error of ParseConfig says", differs: &difference{
		row:    "Errors of `ParseConfig`",
		theirs: []string{"quotes the connection string: true"},
		ours:   []string{"quotes the connection string: false"},
	}, run: func(s *side) {
		_, err := s.open(settings{params: "application_name=quoted pool_max_conns=x"})
		s.say("quotes the connection string: %v", strings.Contains(err.Error(), "application_name=quoted"))
	}},
	{name: "Copy is deep", run: func(s *side) {
		const dsn = "host=db.test application_name=app pool_max_conns=9"
		if s.ours {
			c, err := ours.ParseConfig(dsn)
			s.ok(err)
			d := c.Copy()
			d.ConnConfig.RuntimeParams["application_name"] = "other"
			d.MaxConns = 1
			s.say("%d %s %s", c.MaxConns, c.ConnConfig.RuntimeParams, d.ConnString())
		} else {
			c, err := theirs.ParseConfig(dsn)
			s.ok(err)
			d := c.Copy()
			d.ConnConfig.RuntimeParams["application_name"] = "other"
			d.MaxConns = 1
			s.say("%d %s %s", c.MaxConns, c.ConnConfig.RuntimeParams, d.ConnString())
		}
	}},
	{name: "a configuration that is changed after NewWithConfig", differs: &difference{
		row:    "Changes to a `*Config` after `NewWithConfig`",
		theirs: []string{"after"},
		ours:   []string{"before"},
	}, run: func(s *side) {
		dsn := s.dsn + "&application_name=before"
		var p statements
		var conn *pgx.ConnConfig
		if s.ours {
			c, err := ours.ParseConfig(dsn)
			s.ok(err)
			opened, err := ours.NewWithConfig(s.ctx, c)
			s.ok(err)
			defer opened.Close()
			p, conn = opened, c.ConnConfig
		} else {
			c, err := theirs.ParseConfig(dsn)
			s.ok(err)
			opened, err := theirs.NewWithConfig(s.ctx, c)
			s.ok(err)
			defer opened.Close()
			p, conn = opened, c.ConnConfig
		}
		conn.RuntimeParams["application_name"] = "after"
		var name string
		s.ok(p.QueryRow(s.ctx, "show application_name").Scan(&name))
		s.note(name)
	}},
	{name: "New", run: func(s *side) {
		var str string
		var max int32
		if s.ours {
			p, err := ours.New(s.ctx, s.dsn+"&pool_max_conns=3")
			s.ok(err)
			defer p.Close()
			str, max = p.Config().ConnString(), p.Config().MaxConns
			s.ends(p.Ping(s.ctx))
			_, err = ours.New(s.ctx, "pool_max_conns=x")
			s.ends(err)
		} else {
			p, err := theirs.New(s.ctx, s.dsn+"&pool_max_conns=3")
			s.ok(err)
			defer p.Close()
			str, max = p.Config().ConnString(), p.Config().MaxConns
			s.ends(p.Ping(s.ctx))
			_, err = theirs.New(s.ctx, "pool_max_conns=x")
			s.ends(err)
		}
		s.say("%v, %d", str == s.dsn+"&pool_max_conns=3", max)
	}},
	{name: "New does not wait for the server", run: func(s *side) {
		down, conn := unreachable()
		down.Store(true)
		_, err := s.open(settings{params: "pool_min_conns=1", conn: conn})
		s.ends(err)
	}},
	{name: "NewWithConfig of what ParseConfig has not made", run: func(s *side) {
		s.note(panics(func() {
			if s.ours {
				_, _ = ours.NewWithConfig(s.ctx, &ours.Config{})
			} else {
				_, _ = theirs.NewWithConfig(s.ctx, &theirs.Config{})
			}
		}))
	}},
	{name: "NewWithConfig without connections", run: func(s *side) {
		if s.ours {
			c, err := ours.ParseConfig(s.dsn)
			s.ok(err)
			c.MaxConns = 0
			_, err = ours.NewWithConfig(s.ctx, c)
			s.say("%v", err != nil)
		} else {
			c, err := theirs.ParseConfig(s.dsn)
			s.ok(err)
			c.MaxConns = 0
			_, err = theirs.NewWithConfig(s.ctx, c)
			s.say("%v", err != nil)
		}
	}},
	{name: "as many connections as a number can say", differs: &difference{
		row:    "`MaxConns` beyond 65 536",
		theirs: []string{"none", "2147483647"},
		ours:   []string{"none", "65536"},
	}, run: func(s *side) {
		p := s.pool(settings{params: fmt.Sprintf("pool_max_conns=%d", math.MaxInt32)})
		s.ends(p.Ping(s.ctx))
		s.say("%d", p.Stat().MaxConns())
	}},
	{name: "figures of a new pool", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=3"})
		s.figures(p)
	}},
	{name: "figures of a pool that works", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=3"})
		a, b := s.acquire(p), s.acquire(p)
		s.figures(p)
		a.Release()
		s.figures(p)
		s.exec(p, "select 1")
		b.Release()
		s.figures(p)
		_, err := p.Acquire(s.within(0))
		s.ends(err)
		s.figures(p)
	}},
	{name: "figures of waiting", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		s.say("the first has waited: %d, %v", p.Stat().EmptyAcquireCount(), p.Stat().EmptyAcquireWaitTime() > 0)
		s.say("%v", p.Stat().AcquireDuration() >= p.Stat().EmptyAcquireWaitTime())
		time.AfterFunc(30*time.Millisecond, c.Release)
		before := p.Stat().EmptyAcquireWaitTime()
		s.exec(p, "select 1")
		s.say("%d, %v", p.Stat().EmptyAcquireCount(), p.Stat().EmptyAcquireWaitTime()-before >= 20*time.Millisecond)
		s.exec(p, "select 1")
		s.say("%d", p.Stat().EmptyAcquireCount())
		c = s.acquire(p)
		_, err := p.Acquire(s.within(20 * time.Millisecond))
		s.ends(err)
		c.Release()
		s.say("%d, canceled %d", p.Stat().EmptyAcquireCount(), p.Stat().CanceledAcquireCount())
	}},
	{name: "what counts as a new connection", differs: &difference{
		row:    "`Stat().NewConnsCount`",
		theirs: []string{"1"},
		ours:   []string{"0"},
	}, run: func(s *side) {
		down, conn := unreachable()
		down.Store(true)
		p := s.pool(settings{conn: conn})
		_, err := p.Acquire(s.within(50 * time.Millisecond))
		s.say("%v", err != nil)
		s.notes = nil
		s.say("%d", p.Stat().NewConnsCount())
	}},
	{name: "MinConns", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=4 pool_min_conns=3"})
		s.until("they are there", func() bool { return p.Stat().IdleConns() == 3 })
		s.say("new: %d, acquires: %d", p.Stat().NewConnsCount(), p.Stat().AcquireCount())
		c := s.acquire(p)
		s.say("idle %d, acquired %d, total %d", p.Stat().IdleConns(), p.Stat().AcquiredConns(), p.Stat().TotalConns())
		s.ok(c.Conn().Close(s.ctx))
		c.Release()
		s.until("it is replaced", func() bool { return p.Stat().IdleConns() == 3 })
		s.say("new: %d", p.Stat().NewConnsCount())
	}},
	{name: "MinIdleConns", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=4 pool_min_idle_conns=2 pool_health_check_period=50ms"})
		s.until("they are there", func() bool { return p.Stat().IdleConns() == 2 })
		c := s.acquire(p)
		s.until("there is another", func() bool { return p.Stat().IdleConns() == 2 })
		s.say("total %d", p.Stat().TotalConns())
		c.Release()
	}},
	{name: "MinConns above MaxConns", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=2 pool_min_conns=5"})
		s.until("as many as there may be", func() bool { return p.Stat().IdleConns() == 2 })
		s.say("total %d", p.Stat().TotalConns())
	}},
	{name: "MaxConnLifetime of an idle connection", run: func(s *side) {
		p := s.pool(settings{params: one + " pool_max_conn_lifetime=100ms pool_health_check_period=50ms"})
		s.exec(p, "select 1")
		s.until("it is closed", func() bool { return p.Stat().TotalConns() == 0 && p.Stat().MaxLifetimeDestroyCount() == 1 })
		s.say("idle %d, new %d", p.Stat().MaxIdleDestroyCount(), p.Stat().NewConnsCount())
	}},
	{name: "MaxConnLifetime when a connection is acquired", run: func(s *side) {
		p := s.pool(settings{params: one + " pool_max_conn_lifetime=200ms pool_health_check_period=10s"})
		first := s.pidOf(p)
		<-time.After(250 * time.Millisecond)
		s.say("another: %v, %d", s.pidOf(p) != first, p.Stat().MaxLifetimeDestroyCount())
	}},
	{name: "MaxConnLifetime when a connection is released", run: func(s *side) {
		p := s.pool(settings{params: one + " pool_max_conn_lifetime=100ms pool_health_check_period=10s"})
		c := s.acquire(p)
		<-time.After(150 * time.Millisecond)
		s.exec(c, "select 1")
		c.Release()
		s.until("it is closed", func() bool { return p.Stat().TotalConns() == 0 && p.Stat().MaxLifetimeDestroyCount() > 0 })
		s.say("%d", p.Stat().MaxLifetimeDestroyCount())
	}},
	{name: "MaxConnLifetime of 0", run: func(s *side) {
		p := s.pool(settings{params: one + " pool_max_conn_lifetime=0 pool_health_check_period=20ms"})
		first := s.pidOf(p)
		<-time.After(100 * time.Millisecond)
		s.say("same: %v, %d", s.pidOf(p) == first, p.Stat().MaxLifetimeDestroyCount())
	}},
	{name: "MaxConnLifetime as long as can be said", run: func(s *side) {
		p := s.pool(settings{params: one + " pool_max_conn_lifetime=" + time.Duration(math.MaxInt64).String()})
		first := s.pidOf(p)
		s.say("the same: %v, destroyed %d", s.pidOf(p) == first, p.Stat().MaxLifetimeDestroyCount())
	}},
	{name: "a jitter below a second", differs: &difference{
		row:    "`MaxConnLifetimeJitter`",
		theirs: []string{"some live longer: false"},
		ours:   []string{"some live longer: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=12 pool_max_conn_lifetime=150ms pool_max_conn_lifetime_jitter=900ms pool_health_check_period=10s"})
		var all []conn
		for range 12 {
			all = append(all, s.acquire(p))
		}
		<-time.After(200 * time.Millisecond)
		for _, c := range all {
			c.Release()
		}
		<-time.After(50 * time.Millisecond)
		s.say("some live longer: %v", p.Stat().TotalConns() > 0)
	}},
	{name: "MaxConnIdleTime", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=3 pool_min_conns=1 pool_max_conn_idle_time=100ms pool_health_check_period=50ms"})
		a, b := s.acquire(p), s.acquire(p)
		a.Release()
		b.Release()
		s.until("one is closed", func() bool { return p.Stat().TotalConns() == 1 && p.Stat().MaxIdleDestroyCount() > 0 })
		s.say("by age: %d", p.Stat().MaxLifetimeDestroyCount())
	}},
	{name: "MaxConnIdleTime of connections that are to be idle", differs: &difference{
		row:    "`MaxConnIdleTime` and `MinIdleConns`",
		theirs: []string{"closed: true"},
		ours:   []string{"closed: false"},
	}, run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=4 pool_min_idle_conns=2 pool_max_conn_idle_time=10ms pool_health_check_period=20ms"})
		s.until("they are there", func() bool { return p.Stat().IdleConns() == 2 })
		for end := time.Now().Add(300 * time.Millisecond); p.Stat().MaxIdleDestroyCount() == 0 && time.Now().Before(end); {
			<-time.After(2 * time.Millisecond)
		}
		s.say("closed: %v", p.Stat().MaxIdleDestroyCount() > 0)
	}},
	{name: "how often idle times are looked at", differs: &difference{
		row:    "`HealthCheckPeriod`",
		theirs: []string{"closed within 3 s: false"},
		ours:   []string{"closed within 3 s: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one + " pool_max_conn_idle_time=50ms pool_health_check_period=1h"})
		s.exec(p, "select 1")
		for end := time.Now().Add(3 * time.Second); p.Stat().TotalConns() > 0 && time.Now().Before(end); {
			<-time.After(5 * time.Millisecond)
		}
		s.say("closed within 3 s: %v", p.Stat().TotalConns() == 0)
	}},
}

// figures notes those that are the same whatever the clock says.
func (s *side) figures(p pool) {
	st := p.Stat()
	s.say("acquires %d, canceled %d, acquired %d, constructing %d, idle %d, max %d, total %d, new %d, by age %d, idle too long %d",
		st.AcquireCount(), st.CanceledAcquireCount(), st.AcquiredConns(), st.ConstructingConns(), st.IdleConns(), st.MaxConns(),
		st.TotalConns(), st.NewConnsCount(), st.MaxLifetimeDestroyCount(), st.MaxIdleDestroyCount())
}

// TestTheSurfaceIsTheSame: what pgxpool exports is there, under the same name and with the same signature.
func TestTheSurfaceIsTheSame(t *testing.T) {
	for _, types := range [][2]reflect.Type{
		{reflect.TypeFor[*theirs.Pool](), reflect.TypeFor[*ours.Pool]()},
		{reflect.TypeFor[*theirs.Conn](), reflect.TypeFor[*ours.Conn]()},
		{reflect.TypeFor[*theirs.Tx](), reflect.TypeFor[*ours.Tx]()},
		{reflect.TypeFor[*theirs.Stat](), reflect.TypeFor[*ours.Stat]()},
		{reflect.TypeFor[*theirs.Config](), reflect.TypeFor[*ours.Config]()},
		{reflect.TypeFor[theirs.AcquireTracer](), reflect.TypeFor[ours.AcquireTracer]()},
		{reflect.TypeFor[theirs.ReleaseTracer](), reflect.TypeFor[ours.ReleaseTracer]()},
	} {
		for i := range types[0].NumMethod() {
			m := types[0].Method(i)
			same, found := types[1].MethodByName(m.Name)
			require.True(t, found, "%v.%s", types[0], m.Name)
			require.Equal(t, m.Type.String(), same.Type.String(), m.Name)
		}
	}
	for _, types := range [][2]reflect.Type{
		{reflect.TypeFor[theirs.Config](), reflect.TypeFor[ours.Config]()},
		{reflect.TypeFor[theirs.ShouldPingParams](), reflect.TypeFor[ours.ShouldPingParams]()},
		{reflect.TypeFor[theirs.TraceAcquireStartData](), reflect.TypeFor[ours.TraceAcquireStartData]()},
		{reflect.TypeFor[theirs.TraceAcquireEndData](), reflect.TypeFor[ours.TraceAcquireEndData]()},
		{reflect.TypeFor[theirs.TraceReleaseData](), reflect.TypeFor[ours.TraceReleaseData]()},
	} {
		for i := range types[0].NumField() {
			f := types[0].Field(i)
			if !f.IsExported() {
				continue
			}
			same, found := types[1].FieldByName(f.Name)
			require.True(t, found, "%v.%s", types[0], f.Name)
			require.Equal(t, f.Type.String(), same.Type.String(), f.Name)
		}
	}
	for _, functions := range [][2]any{
		{theirs.New, ours.New}, {theirs.NewWithConfig, ours.NewWithConfig}, {theirs.ParseConfig, ours.ParseConfig},
	} {
		require.Equal(t, fmt.Sprintf("%T", functions[0]), fmt.Sprintf("%T", functions[1]))
	}
	var _ pgx.Tx = (*ours.Tx)(nil)
	var _ func(context.Context, string) (*ours.Pool, error) = ours.New
}
