package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/seed-4ff2b7b9/supervised/internal/secret"
)

// maxFile bounds what is read: a configuration is a few kilobytes, a device file has no end.
const maxFile = 1 << 20

// file is a configuration file while it is read into a Config. It is read key by key, because cleanenv would ignore
// unknown keys, tell no line, stop at the first problem and quote values in its errors.
type file struct {
	path string
	into *Config
	problems
}

// readFile sets what the file says. A file that is not there is fine unless somebody asked for it.
func readFile(c *Config, path string, asked bool) problems {
	data, err := load(path)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return nil
	}
	if err != nil {
		return problems{{Source: path, Problem: "cannot be read: " + reason(err), Allowed: "a YAML file", Err: err}}
	}
	f := &file{path: path, into: c}
	f.document(data)
	return f.problems
}

func load(path string) ([]byte, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	data, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return data, err
}

// reason is the error without the path, which Error names already.
func reason(err error) string {
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		return inPath.Err.Error()
	}
	return err.Error()
}

func (f *file) complain(line int, key, problem, allowed string) {
	f.add(origin{f.path, line}, key, problem, allowed)
}

// document reads the one YAML document that the file holds.
func (f *file) document(data []byte) {
	if bad := bytes.IndexFunc(data, notText); bad >= 0 {
		f.complain(lineOf(data, bad), "", "is not a text file", "YAML in UTF-8")
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return // nothing but comments
	}
	if err == nil {
		err = decoder.Decode(&second)
	}
	switch {
	case errors.Is(err, io.EOF):
		f.sections(document.Content[0])
	case err != nil:
		f.broken(data, err)
	default:
		f.complain(second.Line, "", "a second YAML document begins", "one document")
	}
}

// notText tells whether YAML forbids the character; it finds what is not UTF-8, too.
func notText(r rune) bool {
	return r == utf8.RuneError || r != '\n' && r != '\r' && r != '\t' && unicode.IsControl(r)
}

// lineOf returns the line in which the offset lies, from 1.
func lineOf(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }

var (
	// syntaxError takes apart what the YAML parser says. It names no line if that is the first.
	syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	// anchorError is the one message that is not a constant text, and the one that never names a line.
	anchorError = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)
)

// yamlForm is what the parser looks for, in the words of somebody who does not know YAML.
const yamlForm = `lines of the form "key: value", indented with spaces, and texts with special characters in quotes`

// broken reports a file that is not YAML, in the words of the parser unless these quote what stands in the file: *name
// is an alias in YAML, and also how a password may begin.
func (f *file) broken(data []byte, err error) {
	if parts := anchorError.FindStringSubmatch(err.Error()); parts != nil {
		line := lineOf(data, max(0, bytes.Index(data, []byte("*"+parts[1]))))
		f.complain(line, "", "a value begins with * and refers to nothing", "a text that begins with * in quotes")
		return
	}
	line, problem := 1, "the syntax is wrong"
	if parts := syntaxError.FindStringSubmatch(err.Error()); parts != nil {
		problem = parts[2]
		if n, err := strconv.Atoi(parts[1]); err == nil {
			line = n
		}
	}
	f.complain(line, "", "is not YAML: "+problem, yamlForm)
}

// sections reads the top level.
func (f *file) sections(root *yaml.Node) {
	f.mapping(root, "", sections(), func(name, value *yaml.Node) {
		section := name.Value
		f.mapping(value, section, keysOf(section), func(name, value *yaml.Node) {
			f.set(mustFind(join(section, name.Value)), name.Line, resolve(value))
		})
	})
}

// mapping calls visit for each known key of a mapping, and complains about all else. An empty value is as good as none.
func (f *file) mapping(node *yaml.Node, key string, known []string, visit func(name, value *yaml.Node)) {
	node = resolve(node)
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		f.complain(node.Line, key, "has the wrong type", "keys with values: "+strings.Join(known, ", "))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := resolve(node.Content[i]), node.Content[i+1]
		first, twice := seen[name.Value]
		switch {
		case name.Kind != yaml.ScalarNode || !slices.Contains(known, name.Value):
			f.complain(name.Line, join(key, printable(name.Value)), "is unknown", strings.Join(known, ", "))
		case twice:
			f.complain(name.Line, join(key, name.Value), "was set before, in line "+strconv.Itoa(first), "once")
		default:
			seen[name.Value] = name.Line
			visit(name, value)
		}
	}
}

// set reads one value.
func (f *file) set(k key, line int, node *yaml.Node) {
	if isNull(node) {
		return
	}
	value := k.in(f.into)
	read := reflect.New(value.Type()).Elem()
	if !f.fits(k, node) || node.Decode(read.Addr().Interface()) != nil {
		f.complain(node.Line, k.name, "has the wrong type", k.allowed())
		return
	}
	if isEmpty(read) {
		return
	}
	if problem := k.check(read); problem != "" {
		f.complain(node.Line, k.name, problem, k.allowed())
		return
	}
	value.Set(read)
	f.into.origins[k.name] = origin{f.path, line}
}

// fits tells whether the node has the shape that the key takes; yaml.v3 alone is too generous.
func (f *file) fits(k key, node *yaml.Node) bool {
	if k.name != paramsKey {
		return node.Kind == yaml.ScalarNode && (!k.isInt() || decimal.MatchString(node.Value))
	}
	if node.Kind != yaml.MappingNode {
		return false
	}
	for _, part := range node.Content {
		if part = resolve(part); part.Kind != yaml.ScalarNode || isNull(part) {
			return false
		}
	}
	return true
}

// resolve follows an alias to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// isEmpty tells whether a value is a text or a map without content, which counts as not set, as empty PG* variables do.
// An explicit 0 or false is kept.
func isEmpty(v reflect.Value) bool {
	return (v.Kind() == reflect.String || v.Kind() == reflect.Map) && v.Len() == 0 || v.Interface() == secret.Secret{}
}

// identifier is what the name of a key or a server setting may look like.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,62}$`)

// printable is a key as it may stand in an error: what does not look like a name may be a password that lost its place.
func printable(name string) string {
	if identifier.MatchString(name) {
		return name
	}
	return "(a key that is not a name)"
}

func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}
