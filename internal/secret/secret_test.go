package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/ilyakaznacheev/cleanenv"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gopkg.in/yaml.v3"

	"github.com/seed-4ff2b7b9/supervised/internal/secret"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// panicking makes the test binary die from a panic whose value is a Secret.
const panicking = "SUPERVISED_TEST_PANIC_WITH_SECRET"

func TestMain(m *testing.M) {
	if os.Getenv(panicking) != "" {
		panic(secret.New(canary.Password))
	}
	goleak.VerifyTestMain(m)
}

// holder is how secrets lie in other people's types, the unexported field included: fmt asks no method of it.
type holder struct {
	Direct  secret.Secret
	Pointer *secret.Secret
	Values  map[string]secret.Secret
	List    []secret.Secret
	Any     any
	hidden  secret.Secret
}

func held() holder {
	s := secret.New(canary.Password)
	return holder{s, &s, map[string]secret.Secret{"k": s}, []secret.Secret{s}, s, s}
}

// requireShut fails if the canary is in text, or if nothing says that something was left out.
func requireShut(t *testing.T, text string) {
	t.Helper()
	requireNoCanary(t, text)
	require.Contains(t, text, "[redacted]")
}

// requireNoCanary does not print text: the suite's own output is searched for the canary.
func requireNoCanary(t *testing.T, text string) {
	t.Helper()
	require.True(t, canary.Find(text) == nil, "the canary got out")
}

func TestEveryVerbPrintsRedacted(t *testing.T) {
	s := secret.New(canary.Password)
	for _, verb := range []string{"v", "+v", "#v", "s", "q", "+q", "#q", "x", "X", "# x", "d", "b", "c", "o", "U", "e", "t", "20s", "-20v", ".3s", "08d", "z"} {
		t.Run(verb, func(t *testing.T) {
			require.Equal(t, "[redacted]", fmt.Sprintf("%"+verb, s))
			require.Equal(t, "[redacted]", fmt.Sprintf("%"+verb, secret.Secret{}))
			requireShut(t, fmt.Sprintf("%"+verb, held()))
			requireShut(t, fmt.Sprintf("%"+verb, new(held())))
			requireShut(t, fmt.Sprintf("%"+verb, []any{held(), &s}))
		})
	}
}

// Misuse that go vet would find in our own code can still happen in somebody else's, and with formats made at run time.
func TestMisusedVerbsShowNothing(t *testing.T) {
	s := secret.New(canary.Password)
	for _, format := range []string{"%p", "%w", "%!", "%", "no verb", "%*d", "%[3]s", "%T"} {
		requireNoCanary(t, fmt.Sprintf(format, s, held()))
		requireNoCanary(t, fmt.Sprintf(format, held(), s))
		requireNoCanary(t, fmt.Errorf(format, s).Error())
	}
}

func TestPrintingFunctionsPrintRedacted(t *testing.T) {
	s := secret.New(canary.Password)
	require.Equal(t, "[redacted]", fmt.Sprint(s))
	require.Equal(t, "[redacted] [redacted]\n", fmt.Sprintln(s, &s))
	require.Equal(t, "[redacted]", s.String())
	require.Equal(t, "[redacted]", s.GoString())
	require.Equal(t, "password [redacted]", fmt.Errorf("password %v", s).Error())
	requireShut(t, errors.Join(fmt.Errorf("%+v", held()), errors.New(s.String())).Error())
	requireShut(t, string(fmt.Appendf(nil, "%v", held())))
}

func TestEncodersWriteRedacted(t *testing.T) {
	for name, encode := range map[string]func(any) ([]byte, error){
		"JSON":          json.Marshal,
		"indented JSON": func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") },
		"YAML":          yaml.Marshal,
	} {
		t.Run(name, func(t *testing.T) {
			s := secret.New(canary.Password)
			for _, v := range []any{s, &s, held(), new(held())} {
				text, err := encode(v)
				require.NoError(t, err)
				requireShut(t, string(text))
			}
		})
	}
	s := secret.New(canary.Password)
	text, err := json.Marshal(map[secret.Secret]int{s: 1})
	require.NoError(t, err)
	require.Equal(t, `{"[redacted]":1}`, string(text))

	text, err = xml.Marshal(struct {
		XMLName struct{}      `xml:"x"`
		Attr    secret.Secret `xml:"attr,attr"`
		Element secret.Secret
	}{Attr: s, Element: s})
	require.NoError(t, err)
	require.Equal(t, `<x attr="[redacted]"><Element>[redacted]</Element></x>`, string(text))

	var b bytes.Buffer
	require.Error(t, gob.NewEncoder(&b).Encode(s), "gob has no way to leave something out")
	requireNoCanary(t, b.String())
}

func TestZerologWritesRedacted(t *testing.T) {
	s := secret.New(canary.Password)
	for name, write := range map[string]func(*zerolog.Event){
		"Interface": func(e *zerolog.Event) { e.Interface("k", s).Send() },
		"Any":       func(e *zerolog.Event) { e.Any("k", held()).Send() },
		"pointer":   func(e *zerolog.Event) { e.Any("k", &s).Send() },
		"Stringer":  func(e *zerolog.Event) { e.Stringer("k", s).Send() },
		"Stringers": func(e *zerolog.Event) { e.Stringers("k", []fmt.Stringer{s, &s}).Send() },
		"Str":       func(e *zerolog.Event) { e.Str("k", s.String()).Send() },
		"Fields":    func(e *zerolog.Event) { e.Fields(map[string]any{"k": s, "h": held()}).Send() },
		"list":      func(e *zerolog.Event) { e.Fields([]any{"k", s}).Send() },
		"Dict":      func(e *zerolog.Event) { e.Dict("d", zerolog.Dict().Any("k", s)).Send() },
		"Array":     func(e *zerolog.Event) { e.Array("a", zerolog.Arr().Interface(s)).Send() },
		"Err":       func(e *zerolog.Event) { e.Err(fmt.Errorf("with %v", s)).Send() },
		"Msgf":      func(e *zerolog.Event) { e.Msgf("%+v", held()) },
		"slice":     func(e *zerolog.Event) { e.Any("k", []secret.Secret{s}).Send() },
	} {
		t.Run(name, func(t *testing.T) {
			var asJSON, onConsole bytes.Buffer
			logger := zerolog.New(&asJSON)
			write(logger.Info())
			requireShut(t, asJSON.String())
			console := zerolog.New(zerolog.ConsoleWriter{Out: &onConsole, NoColor: true})
			write(console.Info())
			requireShut(t, onConsole.String())
		})
	}
	var b bytes.Buffer
	child := zerolog.New(&b).With().Interface("k", s).Stringer("s", s).Logger()
	child.Info().Send()
	requireShut(t, b.String())
}

func TestSlogWritesRedacted(t *testing.T) {
	var b bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		b.Reset()
		s := secret.New(canary.Password)
		slog.New(handler).With("with", s).Info("m", "k", s, "p", &s, "h", held(), slog.Group("g", "k", s))
		requireShut(t, b.String())
	}
}

func TestTemplatesWriteRedacted(t *testing.T) {
	const page = `{{.Direct}} {{.Pointer}} {{.Values}} {{printf "%s" .Direct}} {{.}}`
	var b bytes.Buffer
	require.NoError(t, texttemplate.Must(texttemplate.New("").Parse(page)).Execute(&b, held()))
	require.NoError(t, template.Must(template.New("").Parse(page+`<script>x = {{.Direct}}</script>`)).Execute(&b, held()))
	requireShut(t, b.String())
}

func TestPanicPrintsNoSecret(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), panicking+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "the process died from its panic")
	require.Contains(t, string(out), "panic: ")
	requireNoCanary(t, string(out))
}

func TestRevealIsTheOneWayOut(t *testing.T) {
	require.True(t, secret.New(canary.Password).Reveal() == canary.Password)
	require.Empty(t, secret.Secret{}.Reveal())
	require.Empty(t, secret.New("").Reveal())
}

func TestSecretsAreValues(t *testing.T) {
	require.True(t, secret.New("a") == secret.New(strings.ToLower("A")))
	require.False(t, secret.New("a") == secret.New("b"))
	require.True(t, secret.New("") == secret.Secret{})
	require.True(t, secret.New("").IsZero())
	require.False(t, secret.New(" ").IsZero())
}

func TestFilledFromTextAsItIs(t *testing.T) {
	for _, text := range []string{canary.Password, "", " blanks ", "0123", "1e5", "0x1F", "yes", "null", "2026-01-02", "1_000", "[a]", "#x", "*x", "1.10"} {
		var fromEnv struct {
			S secret.Secret `env:"SUPERVISED_TEST_SECRET"`
		}
		t.Setenv("SUPERVISED_TEST_SECRET", text)
		require.NoError(t, cleanenv.ReadEnv(&fromEnv))
		require.True(t, fromEnv.S.Reveal() == text, "from the environment")

		quoted, err := yaml.Marshal(map[string]string{"s": text})
		require.NoError(t, err)
		var fromYAML struct{ S secret.Secret }
		require.NoError(t, cleanenv.ParseYAML(bytes.NewReader(quoted), &fromYAML))
		require.True(t, fromYAML.S.Reveal() == text, "from YAML")

		inJSON, err := json.Marshal(text)
		require.NoError(t, err)
		var fromJSON secret.Secret
		require.NoError(t, json.Unmarshal(inJSON, &fromJSON))
		require.True(t, fromJSON.Reveal() == text, "from JSON")
	}
	var bare struct{ Number, Date, Yes secret.Secret }
	require.NoError(t, yaml.Unmarshal([]byte("number: 0123\ndate: 2026-01-02\nyes: yes"), &bare))
	require.Equal(t, "0123 2026-01-02 yes", bare.Number.Reveal()+" "+bare.Date.Reveal()+" "+bare.Yes.Reveal())
}
