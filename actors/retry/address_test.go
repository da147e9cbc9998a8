package retry

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func parsed(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	return cfg
}

// names is a LookupFunc with a fixed answer for each name.
type names map[string][]string

func (n names) lookup(_ context.Context, name string) ([]string, error) {
	if addresses, ok := n[name]; ok {
		return addresses, nil
	}
	return nil, errors.New("no such host")
}

// spelled writes candidates down: address, and +tls.
func spelled(candidates []candidate) string {
	var texts []string
	for _, c := range candidates {
		text := c.address
		if c.encrypted {
			text += "+tls"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

func TestResolveListsTheWaysAsPGXDoes(t *testing.T) {
	dns := names{"a": {"192.0.2.1", "192.0.2.2"}, "b": {"2001:db8::1"}, "c": {"192.0.2.3:6432"}, "d": {}, "e": {"192.0.2.1:x"}}
	for _, c := range []struct{ dsn, want, lost string }{
		{"host=a sslmode=disable", "192.0.2.1:5432 192.0.2.2:5432", ""},
		{"host=a sslmode=require", "192.0.2.1:5432+tls 192.0.2.2:5432+tls", ""},
		{"host=a sslmode=prefer", "192.0.2.1:5432+tls 192.0.2.2:5432+tls 192.0.2.1:5432 192.0.2.2:5432", ""},
		{"host=b sslmode=allow", "[2001:db8::1]:5432 [2001:db8::1]:5432+tls", ""},
		{"host=a,c port=1,2 sslmode=disable", "192.0.2.1:1 192.0.2.2:1 192.0.2.3:6432", ""},
		{"host=/run/postgresql,b sslmode=prefer", "/run/postgresql/.s.PGSQL.5432 [2001:db8::1]:5432+tls [2001:db8::1]:5432", ""},
		{"host=nowhere,b sslmode=disable", "[2001:db8::1]:5432", "nowhere: cannot look the name up: no such host"},
		{"host=d sslmode=prefer", "", "d: the name has no address"},
		{"host=e sslmode=disable", "", "e: the lookup answered with a port that is none: invalid syntax"},
	} {
		entries := entriesOf(&parsed(t, c.dsn).Config)
		found, lost := resolve(t.Context(), entries, dns.lookup)
		require.Equal(t, c.want, spelled(found), c.dsn)
		if c.lost == "" {
			require.Empty(t, lost, c.dsn)
			continue
		}
		require.Len(t, lost, 1, "%s: each name is looked up once", c.dsn)
		require.EqualError(t, lost[0].err, c.lost, c.dsn)
	}
}

func TestHostsAreListedOnce(t *testing.T) {
	entries := entriesOf(&parsed(t, "host=a,b,a port=1,2,3 sslmode=prefer").Config)
	require.Len(t, entries, 6)
	require.Equal(t, []host{{"a", 1}, {"b", 2}, {"a", 3}}, hostsOf(entries))
}

// ways makes candidates for tests of the choice among them: "a/1" is address 1 of host a, "a/1+" the same with TLS.
func ways(spellings ...string) []candidate {
	var list []candidate
	for _, s := range spellings {
		text, encrypted := strings.CutSuffix(s, "+")
		name, address, _ := strings.Cut(text, "/")
		c := candidate{way: way{place{host{name, 5432}, "tcp", address}, encrypted}}
		if encrypted {
			c.tls = &tls.Config{ServerName: name}
		}
		list = append(list, c)
	}
	return list
}
