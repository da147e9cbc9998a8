//go:build !linux

package postgres

// MemoryDir returns an empty string: only Linux has a folder in memory at a known place.
func MemoryDir() string { return "" }
