// Package listing is keys, not values: which keys a table, or many tables and
// memtables together, contain, and for each how many records, of how many
// bytes, between which sequences and times.
//
// A table stores one row per key, see FORMAT.md. Since every record is in
// exactly one source, the sum of a key's listings over all sources is exact, so
// keys can be listed and counted without reading any data.
package listing
