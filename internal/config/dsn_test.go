package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

var goodDSNs = []string{
	"", " ", "host=h", "postgres://", "postgresql://h", "postgres://u@h", "postgres://u:p@h:1/d", "postgres://u:@h", "postgres://:p@h",
	"postgres://@h", "postgres:///d", "postgres:///d?host=/run/x", "postgres://%2Frun%2Fx/d", "postgres://h/",
	"postgres://a,b/d", "postgres://a:1,b:2/d", "postgres://a:1,b/d", "postgres://a,b,c:5/d?port=7", "postgres://,/d",
	"postgres://[::1]/d", "postgres://[::1]:6000/d", "postgres://[::1]:6000,h/d", "postgres://[a?b]:1/d",
	"postgres://u:p%40%2f%3a%25@h/d%20e", "postgres://u:p?x@h/d", "postgres://u:a:b@h/d", "postgres:// u : p @ h / d ",
	"postgres://h/d?sslmode=require", "postgres://h/d?ssl=true", "postgres://h/d?ssl=true&sslmode=disable",
	"postgres://h/d?sslmode=disable&ssl=true", "postgres://h/d?ssl=true&ssl=no&sslmode=disable", "postgres://h/d?ssl=no",
	"postgres://h/d?dbname=e", "postgres://h/d?user=", "postgres://u@h/d?user=", "postgres://h/d?password=a%26b", "postgres://h?application_name=x&application_name=y",
	"postgres://h/d?a%62=c&", "postgres://h/d?x=a@b", "postgres://h?", "postgres://h:/d", "postgres://h: /d",
	"host=h port=1 user=u password=p dbname=d", "host = h  port\t=\n1", "host='h' port='1'user=u", `password='it\'s \\ x' user=a\ b\\`,
	"user='' host=''", "host=", `host=a\`, "host=a host=b", "search_path='a b'", "connect_timeout=5 sslmode=disable", "database=d dbname=e",
	"application_name= host=h", "host=h\v", "x.y=z", "ssl=true",
}

var badDSNs = map[string]error{
	"host":                            errKeyword,
	"host=a b":                        errKeyword,
	"=x":                              errKeyword,
	"a b=c":                           errKeyword,
	"mysql://u@h/d":                   errKeyword,
	"host='a":                         errQuote,
	`host='a\`:                        errQuote,
	`host='a\'`:                       errQuote,
	"postgres://u:%4@h/d":             errEscape,
	"postgres://u:%zz@h/d":            errEscape,
	"postgres://h/d?x=%":              errEscape,
	"postgres://h/d?%=x":              errEscape,
	"postgres://u:%00@h/d":            errNUL,
	"host=a\x00":                      errNUL,
	"postgres://u:a b@h/d":            errSpace,
	"postgres://a b/d":                errSpace,
	"postgres://[::1/d":               errBracket,
	"postgres://[]/d":                 errBracket,
	"postgres://[::1]x/d":             errBracket,
	"postgres://h/d?x":                errParameter,
	"postgres://h/d?x=y&&z=1":         errParameter,
	"postgres://h/d?x=y=z":            errParameter,
	"postgres://u:a@b@h/d":            errAt,
	"postgres://u:1/b@h/d":            errAt,
	"postgres://u:a/b:c@h:1/d":        errAt,
	"postgres://h/d?a%20b=c":          errName,
	"postgres://h/d?=c":               errName,
	"a-very/odd=name":                 errName,
	"postgres://h/d?search%5Fpath'=x": errName,
}

func TestParseDSNAgreesWithPgx(t *testing.T) {
	for _, dsn := range goodDSNs {
		_, err := parseDSN(dsn)
		require.NoError(t, err, dsn)
		requireAgreement(t, dsn)
	}
}

func TestBadDSNs(t *testing.T) {
	for dsn, want := range badDSNs {
		_, err := parseDSN(dsn)
		require.ErrorIs(t, err, want, dsn)
		requireAgreement(t, dsn)
	}
}

func FuzzParseDSN(f *testing.F) {
	for _, dsn := range goodDSNs {
		f.Add(dsn)
	}
	for dsn := range badDSNs {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		if strings.Contains(dsn, "file") || strings.Contains(dsn, "cert") || strings.Contains(dsn, "ssl") && strings.Contains(dsn, "key") {
			return // these make pgx read files
		}
		requireAgreement(t, dsn)
	})
}

// requireAgreement fails if pgx understands a connection string differently from what parseDSN took from it and keywords
// wrote. What parseDSN alone refuses, it refuses on purpose.
func requireAgreement(t *testing.T, dsn string) {
	t.Helper()
	settings, err := parseDSN(dsn)
	theirs, theirErr := pgconn.ParseConfig(dsn)
	if err != nil {
		if !errors.Is(err, errAt) && !errors.Is(err, errName) {
			require.Error(t, theirErr, dsn)
		}
		return
	}
	ours, ourErr := pgconn.ParseConfig(keywords(settings))
	require.Equal(t, theirErr == nil, ourErr == nil, "%q: %v, %v", dsn, theirErr, ourErr)
	if theirErr == nil {
		if theirs.User == "" {
			theirs.User = ours.User // pgx takes "?user=" for a name, but not "user=''"
		}
		require.Equal(t, factsOf(theirs), factsOf(ours), dsn)
	}
}

// facts are what a connection string decides.
type facts struct {
	hosts                    []pgconn.FallbackConfig
	database, user, password string
	timeout                  time.Duration
	params                   map[string]string
}

func factsOf(c *pgconn.Config) facts {
	f := facts{database: c.Database, user: c.User, password: c.Password, timeout: c.ConnectTimeout, params: c.RuntimeParams}
	for _, h := range append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
		host := pgconn.FallbackConfig{Host: h.Host, Port: h.Port}
		if h.TLSConfig != nil {
			host.Host += " by TLS, " + h.TLSConfig.ServerName
		}
		f.hosts = append(f.hosts, host)
	}
	return f
}
