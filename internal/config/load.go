package config

// Load reads the configuration from the file at path and from the environment, which goes before the file, and checks
// all of it. A file that does not exist is an error only if asked is true: somebody named it. An empty path means no
// file.
//
// The error holds one *Error for each thing that is wrong, joined, and never a secret. The standard PG* variables, the
// service file and the password file are those that ConnConfig finds.
func Load(path string, asked bool) (Config, error) {
	c := Default()
	c.origins = make(map[string]origin)
	var found problems
	if path != "" || asked {
		found = readFile(&c, path, asked)
	}
	found = append(found, readEnvironment(&c)...)
	if len(found) == 0 {
		found = c.relate()
	}
	if len(found) == 0 {
		_, found = c.connConfig()
	}
	if len(found) > 0 {
		return Config{}, found.err()
	}
	return c, nil
}
