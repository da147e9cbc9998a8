// Package canary holds the password that tests use wherever one is needed, and finds it in what they print.
//
// A password that shows up anywhere in the suite's output would show up in somebody's log, too. Tests use Password as it
// is, so that its awkward characters also go through every parser and quoting rule on the way to the server; after the
// run, everything that was printed is searched with Find.
package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// mark is the part of the password that no quoting rule touches: letters and digits only. It betrays the password in
// whatever way the rest was escaped, doubled or cut off.
const mark = "Canary7f3dE2b9Song"

// Password is the canary. It has a percent sign before hex digits, both kinds of quotes, a space, a backslash, the
// characters that end the password in a URL, and letters outside of ASCII.
const Password = `50%41 of 'a "` + mark + `" \ @:/?#& ünïcödé`

// form is one way in which the password may appear.
type form struct{ name, text string }

var forms = slices.Concat(
	[]form{
		{"plain", Password},
		{"part", mark},
		{"URL query", url.QueryEscape(Password)},
		{"URL path", url.PathEscape(Password)},
		{"URL user", strings.TrimPrefix(url.UserPassword("", Password).String(), ":")},
		{"Go-quoted", inner(strconv.Quote(Password))},
		{"Go-quoted ASCII", inner(strconv.QuoteToASCII(Password))},
		{"JSON", inner(jsonText(Password))},
		{"HTML", html.EscapeString(Password)},
		{"SQL literal", strings.ReplaceAll(Password, "'", "''")},
		{"keyword string", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(Password)},
		{"byte list", strings.Trim(fmt.Sprint([]byte(mark)), "[]")},
		{"hex", hex.EncodeToString([]byte(mark))},
		{"upper-case hex", strings.ToUpper(hex.EncodeToString([]byte(mark)))},
	},
	base64Forms("base64", base64.RawStdEncoding),
	base64Forms("URL base64", base64.RawURLEncoding),
)

// Find names the forms of Password that text contains, in a fixed order, none twice; nil if there are none. The names
// never contain the password.
func Find(text string) []string {
	var found []string
	for _, f := range forms {
		if strings.Contains(text, f.text) && !slices.Contains(found, f.name) {
			found = append(found, f.name)
		}
	}
	return found
}

// base64Forms is how mark looks inside of any longer text that was encoded: three bytes become four characters, so there
// are three alignments, and the characters at both ends depend on the neighbours.
func base64Forms(name string, encoding *base64.Encoding) []form {
	var all []form
	for before := range 3 {
		bits := before * 8
		encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + mark))
		first := (bits + 5) / 6         // the first character that holds no bit of what stands before
		end := (bits + len(mark)*8) / 6 // the last ones may hold bits of what comes after
		all = append(all, form{name, encoded[first:end]})
	}
	return all
}

func jsonText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(b)
}

// inner takes the quotes off: the password may stand in the middle of a quoted string.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }
