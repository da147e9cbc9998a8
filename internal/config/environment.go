package config

import (
	"os"
	"reflect"

	"github.com/ilyakaznacheev/cleanenv"
)

// readEnvironment sets what the environment says. An empty variable counts as not set.
//
// cleanenv reads one key at a time: over the whole Config it would stop at the first problem, quote the value in its
// error, and take an empty variable for a broken number.
func readEnvironment(c *Config) problems {
	var found problems
	for _, k := range keys {
		text := os.Getenv(k.env())
		if text == "" {
			continue
		}
		from := origin{source: k.env()}
		read, ok := k.fromEnvironment(text)
		if !ok {
			found.add(from, k.name, "has the wrong type", k.allowed())
			continue
		}
		if problem := k.check(read); problem != "" {
			found.add(from, k.name, problem, k.allowed())
			continue
		}
		k.in(c).Set(read)
		c.origins[k.name] = from
	}
	return found
}

// fromEnvironment lets cleanenv fill a struct that has this key for its only field.
func (k key) fromEnvironment(text string) (reflect.Value, bool) {
	if k.isInt() && !decimal.MatchString(text) {
		return reflect.Value{}, false
	}
	alone := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: k.field.Name,
		Type: k.field.Type,
		Tag:  k.field.Tag,
	}}))
	err := cleanenv.ReadEnv(alone.Interface())
	return alone.Elem().Field(0), err == nil
}
