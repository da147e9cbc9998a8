//go:build race

package poolactor

const underRaceDetector = true
