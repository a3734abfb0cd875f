// Package server serves a log over HTTP: to OpenData Log's clients as that
// server would, to others with more (API.md has every route), and over Connect
// and gRPC from the proto in package logpb.
//
// A [Server] is an http.Handler over a LogDb, or over a LogDbReader, of which any
// number may stand before one bucket. [Server.Run] listens, too, with the
// limits that a handler cannot set for itself.
//
// # Followers
//
// A follower is one request: it holds its connection, the goroutine that
// net/http gave it, and a logdb.Watch. While nothing comes it holds no buffer, no
// timer and no snapshot; one goroutine of the server wakes all of them for
// heartbeats. When something comes it scans exactly the keys that changed.
//
// # Memory
//
// Bodies share Options.BodyMemory, and grow as their bytes arrive. Answers leave
// in pieces of 64 KiB, each within Options.WriteTimeout, and so do pushed
// entries: what a slow client holds is one piece, and then it is cut off.
package server
