//go:build race

package logdb

const raceEnabled = true
