// Package client reads and appends to a log through a LogDb server. Methods and
// types are those of package logdb: what a [logdb.LogDb] has is called the same
// here, takes the same options and fails with the same errors.
//
// A Client speaks Connect, the service of log.proto, over net/http. Of what the
// server offers that is the cheapest and the plainest: an append is one POST with
// a binary body, entries are pushed in binary and not in base64, errors carry
// their numbers as a message, and any http.RoundTripper, proxy or balancer that
// knows HTTP/1.1 will do.
//
// # Appends
//
// The server knows no identity of a batch, so one that is sent twice is appended
// twice. An append is therefore repeated only where it is certain that nothing
// was written:
//
//   - no connection came about, so that nothing was sent;
//   - the server itself answered that it wrote nothing, with one of its codes;
//   - something in front of it answered 429.
//
// After anything else, such as an answer that was lost or a 503 by a proxy, the
// append fails with an *[Error] whose MayHaveHappened is set, and only the caller
// can know what to do: read the key's end and look for the batch, for one.
// *[logdb.PendingError] says that it did happen, and where.
//
// # Reads
//
// Reads are repeated for Options.Patience where the failure may pass. A scan that
// was begun goes on from where it is. Followers connect again for as long as
// their context lives.
package client
