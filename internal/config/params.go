package config

import (
	"maps"
	"slices"

	"github.com/seed-4ff2b7b9/supervised/internal/secret"
)

// checkParams returns what is wrong with database.runtime_params, or an empty string. Their values are secrets because
// applications keep tokens in settings of their own.
func checkParams(params map[string]secret.Secret) string {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !identifier.MatchString(name) {
			return "contains a name that is none of a server setting"
		}
		if own, ok := keyOfSetting(name); ok {
			return "contains " + name + ", which has a key of its own, " + own.name
		}
		if problem := checkText(params[name].Reveal()); problem != "" {
			return problem
		}
	}
	return ""
}
