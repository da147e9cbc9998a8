package retry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// canary is a password with everything that is spelled differently somewhere.
const canary = `k4n "a%r'i\e ñ&ß`

// canaryDSN leads to db.test as app, with the canary.
func canaryDSN(rest string) string {
	return "postgres://app:" + strings.ReplaceAll(url.QueryEscape(canary), "+", "%20") + "@db.test:5432/app?" + rest
}

// betrays tells which spelling of the canary a text contains.
func betrays(text string) string {
	for _, s := range spellings(canary) {
		if strings.Contains(text, s) {
			return s
		}
	}
	return ""
}

func TestNoSpellingOfThePasswordGetsOut(t *testing.T) {
	cfg := parsed(t, canaryDSN("sslmode=disable"))
	require.Equal(t, canary, cfg.Password)
	r := newRedactor(cfg)
	_, invalid := pgx.ParseConfig(canaryDSN("sslmode=nonsense"))
	require.Error(t, invalid)
	quoted, err := json.Marshal(canary)
	require.NoError(t, err)
	for _, text := range []string{
		canary, cfg.ConnString(), url.QueryEscape(canary), url.PathEscape(canary), fmt.Sprintf("%q", canary),
		base64.StdEncoding.EncodeToString([]byte(canary)), string(quoted),
		`password='k4n "a%r\'i\\e ñ&ß'`,
	} {
		f := r.failure(fmt.Errorf("dial: cannot open <%s>: %w", text, &pgconn.PgError{
			Code: "XX000", Message: text, Detail: text, Hint: text, Where: text, InternalQuery: text,
		}))
		for _, door := range []string{
			f.Error(), fmt.Sprintf("%v %+v %#v %s %q", f, f, f, f, f), fmt.Sprintf("%+v %#v", *f.server, *f.server),
		} {
			require.Empty(t, betrays(door), text)
		}
		asJSON, err := json.Marshal(map[string]any{"err": f})
		require.NoError(t, err)
		require.Empty(t, betrays(string(asJSON)))
		require.Contains(t, f.Error(), redacted)
		require.Contains(t, f.Error(), "dial: cannot open <", "the rest stays")
	}
	require.Equal(t, redacted, r.clean(cfg.ConnString()), "not even what is no secret in it")
	require.Equal(t, "a connection string could not be parsed", r.failure(invalid).Error())
}

func TestPasswordsInConnectionStringsAreFoundInAnySpelling(t *testing.T) {
	r := newRedactor(parsed(t, canaryDSN("sslmode=disable")))
	for text, want := range map[string]string{
		"see postgres://app:s%65cret@db.test/app":               "see postgres://app:[redacted]@db.test/app",
		"socks5://:hidden@proxy:1080: refused":                  "socks5://:[redacted]@proxy:1080: refused",
		"host=a password = abc user=b":                          "host=a password = [redacted] user=b",
		`{"password": "a\"b", "user": "c"}`:                     `{"password": [redacted], "user": "c"}`,
		`host=a PASSWORD='it\'s here' user=b`:                   "host=a PASSWORD=[redacted] user=b",
		"postgres://db.test/app?sslpassword=abc&sslmode=prefer": "postgres://db.test/app?sslpassword=[redacted]&sslmode=prefer",
		"password authentication failed for user \"app\"":       "password authentication failed for user \"app\"",
		"dial tcp [::1]:5432: refused":                          "dial tcp [::1]:5432: refused",
		"https://example.com:443/path@x":                        "https://example.com:[redacted]@x", // it might have been one
	} {
		require.Equal(t, want, r.clean(text))
	}
}

func TestShortAndPublicPasswordsAreNotSearched(t *testing.T) {
	short := newRedactor(parsed(t, "host=db.test user=app password=a"))
	require.Equal(t, "a failure at an address", short.clean("a failure at an address"))
	public := newRedactor(parsed(t, "host=db.test user=postgres password=postgres"))
	require.Equal(t, `user "postgres"`, public.clean(`user "postgres"`))
}

func TestFailuresKeepTheFactsAndNothingElse(t *testing.T) {
	cfg := parsed(t, canaryDSN("sslmode=disable"))
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil }
	r := newRedactor(cfg)

	_, err := pgconn.ConnectConfig(t.Context(), withDial(&cfg.Config, os.NewSyscallError("connect", syscall.ECONNREFUSED)))
	f := r.failure(err)
	require.Equal(t, "192.0.2.1:5432 (db.test): dial error: connect: connection refused", f.Error())
	require.ErrorIs(t, f, syscall.ECONNREFUSED)
	require.NotErrorAs(t, f, new(*pgconn.ConnectError), "it carries the configuration")
	require.NotErrorAs(t, f, new(*pgconn.PgError))

	_, err = pgconn.ConnectConfig(t.Context(), withDial(&cfg.Config, &pgconn.PgError{Code: "28P01", Message: "no"}))
	f = r.failure(err)
	var server *pgconn.PgError
	require.ErrorAs(t, f, &server)
	require.Equal(t, "28P01", server.Code)
	require.Equal(t, Refused, f.class)
	require.Same(t, f, r.failure(fmt.Errorf("again: %w", f)))
}

func withDial(cfg *pgconn.Config, err error) *pgconn.Config {
	cfg = cfg.Copy()
	cfg.DialFunc = failingDial(err)
	return cfg
}

func TestSummaryTellsAllAndLendsTheFactsOfItsClass(t *testing.T) {
	refused := &failure{class: Refused, text: "a: no", server: &pgconn.PgError{Code: "28P01"}}
	down := &failure{class: Transient, text: "b: down", errno: syscall.ECONNREFUSED}
	sum := summary(Refused, []*failure{down, refused})
	require.Equal(t, "b: down; a: no", sum.Error())
	require.ErrorAs(t, sum, new(*pgconn.PgError))
	require.False(t, errors.Is(sum, syscall.ECONNREFUSED))
	sum = summary(Transient, []*failure{refused, down})
	require.ErrorIs(t, sum, syscall.ECONNREFUSED)
	require.Equal(t, Wait, summary(Wait, []*failure{down}).class)
}
