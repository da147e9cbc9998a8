//go:build race

package actors

const RaceEnabled = true
