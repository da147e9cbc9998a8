package main

import (
	"bytes"
	_ "embed"
	"os"
	"path/filepath"
	"text/template"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
	"github.com/seed-4ff2b7b9/supervised/test/bench/plots"
)

// page is BENCHMARKS.md without its figures, notes what profiles have shown.
var (
	//go:embed page.md
	page string
	//go:embed notes.md
	notes string
)

// The places of what is published, below the repository's root.
const (
	pageFile = "BENCHMARKS.md"
	folder   = "docs/bench"
	jsonFile = folder + "/figures.json"
)

// publish writes the page, the plots and the figures.
func publish(root string, r *figures.Report) error {
	drawn, err := plots.Draw(filepath.Join(root, folder), r)
	if err != nil {
		return err
	}
	text, err := render(r, drawn)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, pageFile), text, 0o644); err != nil {
		return err
	}
	return writeJSON(filepath.Join(root, jsonFile), r)
}

// render fills the page in.
func render(r *figures.Report, drawn []plots.File) ([]byte, error) {
	t, err := template.New(pageFile).Parse(page)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		*figures.Report
		Plots         []plots.File
		Folder, Notes string
	}{r, drawn, folder, notes})
	return b.Bytes(), err
}
