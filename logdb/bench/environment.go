package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Environment is where a run took place. It names no host and no directory.
type Environment struct {
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	Kernel      string `json:"kernel,omitempty"`
	CPU         string `json:"cpu,omitempty"`
	CPUs        int    `json:"cpus"`
	MaxProcs    int    `json:"gomaxprocs"`
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	Go          string `json:"go"`
	Revision    string `json:"revision,omitempty"` // of this program's source
	Modified    bool   `json:"modified,omitempty"` // the source had changes beside it
}

func environment() Environment {
	e := Environment{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0), Go: runtime.Version(),
		Kernel:      firstLine("/proc/sys/kernel/osrelease"),
		CPU:         field("/proc/cpuinfo", "model name"),
		MemoryBytes: kilobytes(field("/proc/meminfo", "MemTotal")),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return e
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			e.Revision = s.Value
		case "vcs.modified":
			e.Modified = s.Value == "true"
		}
	}
	return e
}

// rss is the memory that this process has resident now, 0 where the system does not say.
func rss() int64 { return kilobytes(field("/proc/self/status", "VmRSS")) }

func kilobytes(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return n * 1024
}

func firstLine(name string) string {
	data, _ := os.ReadFile(name) // absent on other systems
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

// processors is what the machine's processors have done since it started, in ticks.
type processors struct{ busy, stolen float64 }

// processorsNow asks Linux; other systems do not say. Where the machine is not virtual nothing is stolen.
func processorsNow() processors { return parseProcessors(firstLine("/proc/stat")) }

func parseProcessors(line string) (p processors) {
	columns := strings.Fields(line)
	if len(columns) < 9 {
		return p
	}
	for i, s := range columns[1:9] { // those behind count again what is in these
		ticks, _ := strconv.ParseFloat(s, 64)
		switch i {
		case 3, 4: // idle, and idle while it waits for a disk
		case 7:
			p.stolen = ticks
		default:
			p.busy += ticks
		}
	}
	return p
}

// stolenSince is the share of the processor time that this machine asked for and its host gave to others.
func (p processors) stolenSince(before processors) float64 {
	busy, stolen := p.busy-before.busy, p.stolen-before.stolen
	if busy+stolen <= 0 {
		return 0
	}
	return stolen / (busy + stolen)
}

// field finds "name : value" in a file of such lines.
func field(file, name string) string {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
