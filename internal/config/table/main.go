// Command table writes the configuration table of README.md, from the comments in config.yml. Run it in the module's
// folder whenever config.yml changed: go run ./internal/config/table
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run("config.yml", "README.md"); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

// run writes the table into the document.
func run(configPath, documentPath string) error {
	file, err := os.ReadFile(configPath)
	if err != nil {
		return err
	}
	document, err := os.ReadFile(documentPath)
	if err != nil {
		return err
	}
	updated, err := update(string(file), string(document))
	if err != nil {
		return fmt.Errorf("%s, %s: %w", configPath, documentPath, err)
	}
	return os.WriteFile(documentPath, []byte(updated), 0o644)
}

// update returns the document with the table that belongs to the configuration file.
func update(file, document string) (string, error) {
	entries, err := reference(file)
	if err != nil {
		return "", err
	}
	table, err := render(entries)
	if err != nil {
		return "", err
	}
	return replace(document, table)
}
