package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/internal/secret"
)

const (
	urlKey    = "database.url"
	paramsKey = "database.runtime_params"
)

// Key describes one key of the configuration.
type Key struct {
	Name    string // section and key: "database.port"
	Env     string // the environment variable that overrides the file
	Allowed string // the values it takes, in words
	Live    bool   // a running daemon can change it
}

// Keys returns every key, in the order of the Config struct.
func Keys() []Key {
	list := make([]Key, len(keys))
	for i, k := range keys {
		list[i] = Key{Name: k.name, Env: k.env(), Allowed: k.allowed(), Live: k.live()}
	}
	return list
}

// key is one leaf of Config.
type key struct {
	section, name string // "database", "database.port"
	field         reflect.StructField
	index         []int
}

var (
	keys      = listKeys(reflect.TypeFor[Config]())
	durations = reflect.TypeFor[Duration]()
)

func listKeys(config reflect.Type) []key {
	var list []key
	for section := range config.Fields() {
		if !section.IsExported() {
			continue
		}
		for field := range section.Type.Fields() {
			name := section.Tag.Get("yaml")
			list = append(list, key{
				section: name,
				name:    name + "." + field.Tag.Get("yaml"),
				field:   field,
				index:   []int{section.Index[0], field.Index[0]},
			})
		}
	}
	return list
}

// mustFind returns the key of that name, which the program itself knows to exist.
func mustFind(name string) key {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	return keys[i]
}

// sections returns the names of all sections.
func sections() []string {
	var names []string
	for _, k := range keys {
		if !slices.Contains(names, k.section) {
			names = append(names, k.section)
		}
	}
	return names
}

// keysOf returns the names of a section's keys, without the section.
func keysOf(section string) []string {
	var names []string
	for _, k := range keys {
		if k.section == section {
			names = append(names, k.field.Tag.Get("yaml"))
		}
	}
	return names
}

func (k key) env() string { return k.field.Tag.Get("env") }

func (k key) live() bool { return k.field.Tag.Get("reload") == "live" }

// in returns the key's place in c.
func (k key) in(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(k.index) }

// isInt tells whether the key takes whole numbers.
func (k key) isInt() bool { return k.field.Type.Kind() == reflect.Int }

// decimal keeps out what Go, YAML and cleanenv would take for octal or hexadecimal (a port 05432 would become 2842),
// and the fractions that YAML would cut off without a word.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// check returns what is wrong with a value of the right type, or an empty string.
func (k key) check(v reflect.Value) string {
	if n, ok := number(v); ok {
		low, hasLow := k.bound("min")
		high, hasHigh := k.bound("max")
		// Written so that NaN is out of range.
		if hasLow && !(n >= low) || hasHigh && !(n <= high) {
			return "is out of range"
		}
		return ""
	}
	switch text := v.Interface().(type) {
	case string:
		if choice, ok := k.field.Tag.Lookup("oneof"); ok && !slices.Contains(strings.Fields(choice), text) {
			return "is none of the known values"
		}
		return checkText(text)
	case secret.Secret:
		return checkText(text.Reveal())
	case map[string]secret.Secret:
		return checkParams(text)
	}
	return ""
}

func checkText(text string) string {
	if strings.ContainsRune(text, 0) {
		return "contains a NUL byte"
	}
	return ""
}

// number returns the value of a numeric key as the one type in which they can be compared.
func number(v reflect.Value) (n float64, ok bool) {
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}

// bound returns the limit of the tag, in the unit of number.
func (k key) bound(tag string) (limit float64, ok bool) {
	text, ok := k.field.Tag.Lookup(tag)
	if !ok {
		return 0, false
	}
	if k.field.Type == durations {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			panic(fmt.Sprintf("config: tag %s of %s: %v", tag, k.name, err))
		}
		return float64(d), true
	}
	limit, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("config: tag %s of %s: %v", tag, k.name, err))
	}
	return limit, true
}

// allowed says in words what the key takes.
func (k key) allowed() string {
	tag := k.field.Tag
	if text := tag.Get("allowed"); text != "" {
		return text
	}
	switch {
	case tag.Get("oneof") != "":
		return "one of " + strings.Join(strings.Fields(tag.Get("oneof")), ", ")
	case k.field.Type == durations:
		return "seconds (10 or 0.5) or a duration (500ms)" + k.span()
	case k.isInt():
		return "a whole number" + k.span()
	case k.field.Type.Kind() == reflect.Float64:
		return "a number" + k.span()
	case k.field.Type.Kind() == reflect.Bool:
		return "true or false"
	}
	return "a text"
}

// span says the bounds in words.
func (k key) span() string {
	low, high := k.field.Tag.Get("min"), k.field.Tag.Get("max")
	if high == "" {
		return ", " + low + " or more"
	}
	return ", from " + low + " to " + high
}
