package actors

import "testing"

// Scale picks how often a torture test goes round: in full, under the race detector, which is ten times as slow, or with
// -short.
func Scale(full, race, short int) int {
	switch {
	case RaceEnabled:
		return race
	case testing.Short():
		return short
	default:
		return full
	}
}
