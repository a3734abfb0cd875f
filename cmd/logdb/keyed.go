package main

import (
	"encoding/base64"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

// keyArg is the KEY argument of a command, and how it is spelled.
type keyArg struct{ b64 bool }

func (k *keyArg) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&k.b64, "key-b64", false, "KEY is base64, for keys that are no text")
}

func (k *keyArg) parse(s string) ([]byte, error) {
	if !k.b64 {
		return []byte(s), nil
	}
	key, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, badUsage("key %q: %w", s, err)
	}
	return key, nil
}

// rangeFlags are --from and --to.
type rangeFlags struct {
	from, to uint64
	cmd      *cobra.Command
}

func (r *rangeFlags) flags(cmd *cobra.Command) {
	r.cmd = cmd
	cmd.Flags().Uint64Var(&r.from, "from", 0, "first `sequence`")
	cmd.Flags().Uint64Var(&r.to, "to", 0, "`sequence` to end before (default: the end of the log)")
}

func (r *rangeFlags) get() logdb.Range {
	if r.cmd.Flags().Changed("to") {
		return logdb.Between(r.from, r.to)
	}
	return logdb.From(r.from)
}

// bound is a flag that may be absent.
func bound(cmd *cobra.Command, name string, n uint64) logdb.Bound {
	if cmd.Flags().Changed(name) {
		return logdb.AtMost(n)
	}
	return logdb.Bound{}
}
