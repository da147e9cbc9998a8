package config_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/secret"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// leaky are mistakes beside or in a password.
var leaky = []string{
	"database:\n  password: CANARY\n  port: x",
	"database:\n  port: CANARY",
	"database:\n  port: [CANARY]",
	"database:\n  password: {CANARY: x}",
	"database:\n  password: [CANARY]",
	"database:\n  CANARY: password",
	"CANARY",
	"CANARY: x",
	"database:\n  password: *CANARY",
	"database:\n  password: &CANARY",
	"database:\n  password: !CANARY x",
	"database:\n  port: !!int CANARY",
	"database:\n  password: !!binary CANARY",
	"database:\n  password: \"CANARY",
	"database:\n  password: CANARY: x",
	"database:\n  password: CANARY\n   x: y",
	"database:\n  sslmode: CANARY",
	"database:\n  statement_timeout: CANARY",
	"database:\n  runtime_params: {CANARY: x}",
	"database:\n  runtime_params: {host: CANARY}",
	"database:\n  runtime_params: {service: CANARY}",
	"database:\n  url: CANARY",
	"database:\n  url: postgres://u:CANARY@h:x/d",
	"database:\n  url: postgres://u:CANARY@h/d?sslmode=x",
	"database:\n  url: postgres://u:CANARY@h/d?sslrootcert=CANARY",
	"database:\n  url: postgres://u:p%CANARY@h/d",
	"database:\n  url: postgres://u:a/CANARY@h/d",
	"database:\n  url: postgres://u:12/CANARY@h/d",
	"database:\n  url: postgres://u:a@CANARY@h/d",
	"database:\n  url: postgres://h/d?password=CANARY&x",
	"database:\n  url: postgres://h/d?password=CANARY&port=x",
	"database:\n  url: host=h password=a CANARY port=x",
	"database:\n  url: host=h password='CANARY",
	"database:\n  url: host=h password=CANARY port=x",
	"database:\n  url: service=CANARY password=CANARY",
	"database:\n  url: passwort=CANARY=x port=x",
	"log: {level: CANARY}\nCANARY: {}",
}

func TestNoErrorShowsASecret(t *testing.T) {
	// What YAML makes of the canary as it is, of it in quotes, and of a harmless-looking one.
	wrong := 0
	for _, spelling := range []string{canary.Password, strconv.Quote(canary.Password), canaryWord} {
		for _, text := range leaky {
			path := write(t, strings.ReplaceAll(text, "CANARY", spelling))
			_, err := config.Load(path, true)
			if err == nil {
				continue // with this spelling it happens to be right
			}
			wrong++
			for _, e := range parts(t, err) {
				word := strings.Contains(e.Error(), canaryWord)
				require.True(t, !word || strings.HasSuffix(e.Key, canaryWord) && e.Problem == "is unknown", "a value got out")
			}
		}
	}
	require.Greater(t, wrong, 2*len(leaky))
	for _, k := range config.Keys() {
		t.Setenv(k.Env, canary.Password)
	}
	require.NotEmpty(t, failures(t, write(t, "")))
	for _, k := range config.Keys() {
		require.NoError(t, os.Unsetenv(k.Env))
	}
	for _, variable := range []string{"PGPORT", "PGSSLMODE", "PGSERVICE", "PGSSLROOTCERT", "PGREQUIREAUTH"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv("PGPASSWORD", canary.Password)
			t.Setenv(variable, canary.Password)
			require.Len(t, failures(t, write(t, "")), 1)
		})
	}
}

// canaryWord is a password that looks like a name. As the name of an unknown key it is printed: that is not where
// passwords stand, and an error that did not name the key would help nobody.
const canaryWord = "xkcdstaple"

func TestPrintedConfigShowsNoSecret(t *testing.T) {
	c := config.Default().WithURL("postgres://u:" + canary.Password + "@h/d")
	c.Database.Password = secret.New(canary.Password)
	c.Database.RuntimeParams = map[string]secret.Secret{"app.token": secret.New(canary.Password)}
	requireNoCanary(t, fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprint(config.Diff(config.Default(), c)))
}
