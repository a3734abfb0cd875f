package main

import (
	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) dumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dump [NAME]",
		Short: "Print an object with offsets and meanings, or list all objects",
		Example: `  logdb dump
  logdb dump manifest`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.bucket(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return logdb.Dump(cmd.Context(), b, args[0], a.stdout)
			}
			out := a.printer()
			for info, err := range b.List(cmd.Context(), "", "") {
				if err == nil {
					err = out.line(objectLine{info.Name, info.Size}, "%12d  %s", info.Size, info.Name)
				}
				if err != nil {
					return err
				}
			}
			return out.flush()
		},
	}
}

type objectLine struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}
