// Package failpoint marks the places between two state changes, so that tests can crash or delay a goroutine exactly
// there. A normal build compiles every mark to nothing; the build tag failpoint brings them to life.
package failpoint
