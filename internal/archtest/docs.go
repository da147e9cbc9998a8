package archtest

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/internal/exportdata"
)

// A block of Go in a document compiles if it stands behind exactly "```go". It is a file, some declarations, or statements,
// which find what stands in surroundings. What is meant to show something else, another pool's code say, has another word
// behind "go".
var fenced = regexp.MustCompile("(?ms)^```go[ \t]*\n(.*?)^```")

// surroundings is where the statements of a block stand.
const surroundings = `func _(ctx context.Context, pool *poolactor.Pool, cfg poolactor.Config, dsn string, db *sql.DB, t *testing.T) error {{
%s
}
return nil }
`

// declares tells a block of declarations from one of statements.
var declares = regexp.MustCompile(`(?m)^(func [\w(]|import )`)

// shortNames are the packages that blocks need not import, beside our own public ones.
var shortNames = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "log": "log", "net": "net", "os": "os",
	"runtime": "runtime", "signal": "os/signal", "slog": "log/slog", "sql": "database/sql", "strings": "strings", "sync": "sync",
	"synctest": "testing/synctest", "syscall": "syscall", "testing": "testing", "time": "time", "tls": "crypto/tls",
	"pgx": "github.com/jackc/pgx/v5", "pgconn": "github.com/jackc/pgx/v5/pgconn", "pgtype": "github.com/jackc/pgx/v5/pgtype",
	"suture": "github.com/thejerf/suture/v4", "zerolog": "github.com/rs/zerolog",
}

// byShortName are the packages that blocks need not import.
func byShortName(g graph) map[string]string {
	names := maps.Clone(shortNames)
	for path, p := range g {
		if isPublic(p) {
			names[p.Name] = path
		}
	}
	return names
}

// block is one piece of Go in a document.
type block struct {
	document string
	line     int
	text     string
}

func blocksOf(document, text string) []block {
	var found []block
	for _, at := range fenced.FindAllStringSubmatchIndex(text, -1) {
		found = append(found, block{document, 1 + strings.Count(text[:at[2]], "\n"), text[at[2]:at[3]]})
	}
	return found
}

// parse makes a file of the block. alone tells that it is a whole one already.
func (b block) parse(set *token.FileSet, names map[string]string) (file *ast.File, alone bool, err error) {
	place := fmt.Sprintf("//line %s:%d\n", b.document, b.line)
	if strings.HasPrefix(b.text, "package ") {
		file, err = parser.ParseFile(set, b.document, place+b.text, parser.SkipObjectResolution)
		return file, true, err
	}
	form := surroundings
	if declares.MatchString(b.text) {
		form = "%s"
	}
	body := fmt.Sprintf(form, place+b.text)
	source := "package doc\n" + body
	if !strings.HasPrefix(b.text, "import ") {
		source = "package doc\n" + imports(body, names) + body
	}
	file, err = parser.ParseFile(set, b.document, source, parser.SkipObjectResolution)
	return file, false, err
}

// imports are those of the packages that a text seems to use.
func imports(text string, names map[string]string) string {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(text) {
			fmt.Fprintf(&lines, "import %q\n", names[name])
		}
	}
	return lines.String()
}

// uncompilable lists what a compiler would say of the blocks, but for what nobody uses. Those of one document are one
// package, so that one can use what another declares.
func uncompilable(ctx context.Context, root string, blocks []block) ([]string, error) {
	g, err := load(ctx, root, "")
	if err != nil {
		return nil, err
	}
	names := byShortName(g)
	var complaints []string
	set := token.NewFileSet()
	packages := map[string][]*ast.File{}
	needed := map[string]bool{}
	for i, b := range blocks {
		file, alone, err := b.parse(set, names)
		if err != nil {
			complaints = append(complaints, err.Error())
			continue
		}
		name := b.document
		if alone {
			name = fmt.Sprint(name, i)
		}
		packages[name] = append(packages[name], file)
		for _, spec := range file.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil {
				needed[path] = true
			}
		}
	}
	imported, err := exportdata.Load(ctx, root, slices.Sorted(maps.Keys(needed))...)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		check := types.Config{Importer: imported, Error: func(err error) {
			if e, ok := err.(types.Error); !ok || !e.Soft { //nolint:errorlint // this is what go/types hands over
				complaints = append(complaints, err.Error())
			}
		}}
		_, _ = check.Check(name, set, packages[name], nil) // Error has what there is to say
	}
	return complaints, nil
}
