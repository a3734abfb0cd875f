package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  wantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			l := versionLine{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				l.Version = info.Main.Version
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						l.Revision = s.Value
					}
				}
			}
			out := a.printer()
			if err := out.line(l, "logdb %s %s %s %s", l.Version, l.Revision, l.Go, l.Platform); err != nil {
				return err
			}
			return out.flush()
		},
	}
}

// version is the module's, as far as the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

type versionLine struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}
