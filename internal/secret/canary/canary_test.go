package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// None of these tests may print what it looks at: the suite's output is searched for it.

func TestPasswordIsAwkward(t *testing.T) {
	for _, part := range []string{"%41", "'", `"`, " ", `\`, "@", ":", "/", "?", "#"} {
		require.True(t, strings.Contains(Password, part), part)
	}
	require.True(t, strings.ContainsFunc(Password, func(r rune) bool { return r > unicode.MaxASCII }))
}

func TestFindSeesThroughEveryForm(t *testing.T) {
	asJSON, err := json.Marshal(map[string]string{"password": "x" + Password})
	require.NoError(t, err)
	var asXML strings.Builder
	require.NoError(t, xml.EscapeText(&asXML, []byte(Password)))
	for name, text := range map[string]string{
		"plain":        "password=" + Password + ";",
		"half":         Password[:len(Password)*2/3],
		"query":        url.Values{"password": {Password}}.Encode(),
		"path":         url.PathEscape(Password),
		"URL":          (&url.URL{Scheme: "postgres", User: url.UserPassword("me", Password), Host: "h"}).String(),
		"%q":           fmt.Sprintf("%q", Password),
		"%+q":          fmt.Sprintf("%+q", Password),
		"%#v":          fmt.Sprintf("%#v", struct{ P string }{Password}),
		"%x":           fmt.Sprintf("%x", Password),
		"%X":           fmt.Sprintf("%X", Password),
		"bytes":        fmt.Sprint([]byte(Password)),
		"hex":          hex.EncodeToString([]byte(Password)),
		"JSON":         string(asJSON),
		"XML":          asXML.String(),
		"quoted twice": fmt.Sprintf("%q", fmt.Sprintf("%q", Password)),
	} {
		require.NotEmpty(t, Find("some log line "+text+"\n"), name)
	}
}

func TestFindSeesBase64AtEveryAlignment(t *testing.T) {
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		for before := range 7 {
			for after := range 4 {
				plain := strings.Repeat("\xff", before) + Password + strings.Repeat("\xff", after)
				require.NotEmpty(t, Find("Basic "+encoding.EncodeToString([]byte(plain))), "%d bytes before, %d after", before, after)
			}
		}
	}
}

func TestEveryFormIsFoundByItsName(t *testing.T) {
	for _, f := range forms {
		require.True(t, len(f.text) >= len(mark), "%s: too short to be told from chance", f.name)
		require.Contains(t, Find("<"+f.text+">"), f.name)
	}
}

func TestFindIsSilentAboutTheRest(t *testing.T) {
	for _, text := range []string{"", "password=[redacted]", "Canary", url.QueryEscape("50%41 of 'a"), "Song"} {
		require.Nil(t, Find(text))
	}
}

func TestNamesDoNotTell(t *testing.T) {
	for _, f := range forms {
		require.False(t, strings.Contains(Password, f.name), "%s", f.name)
	}
}
