//go:build !race

package actors

const RaceEnabled = false
