// Package logpb has the messages and the Connect and gRPC service of a LogDb
// server, generated from log.proto.
package logpb

import _ "embed"

//go:generate go -C .generate run . -dir ..

// Source is log.proto, as a server serves it.
//
//go:embed log.proto
var Source []byte
