package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
	"github.com/logdb-go/logdb/objstore"
)

const (
	costBatch   = 100 // records of 256 B
	costWriters = 4   // appends under way at once
)

// costRecords are the batches that library and server are given in turn. The
// values do not compress.
func costRecords() [][]logdb.Record {
	rng := rand.New(rand.NewPCG(1, 1))
	batches := make([][]logdb.Record, 64)
	for i := range batches {
		for range costBatch {
			r := logdb.Record{Key: fmt.Appendf(nil, "key-%012d", rng.IntN(10)), Value: make([]byte, 256)}
			for j := range r.Value {
				r.Value[j] = byte(rng.Uint32())
			}
			batches[i] = append(batches[i], r)
		}
	}
	return batches
}

// inTurn calls f for every batch below n, from as many goroutines as there are
// writers, and returns the first error.
func inTurn(n int, f func(batch int) error) error {
	var next atomic.Int64
	var writers sync.WaitGroup
	errs := make([]error, costWriters)
	for w := range errs {
		writers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && errs[w] == nil; i = next.Add(1) - 1 {
				errs[w] = f(int(i))
			}
		})
	}
	writers.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// appendAsChild is the library's side: a process that opens a log, appends, and
// closes it.
func appendAsChild(bucket, batches string) error {
	n, err := strconv.Atoi(batches)
	if err != nil {
		return err
	}
	ctx := context.Background()
	b, err := objstore.Open(ctx, bucket)
	if err != nil {
		return err
	}
	db, err := logdb.Open(ctx, b, logdb.Options{Ack: logdb.Applied})
	if err != nil {
		return err
	}
	records := costRecords()
	err = inTurn(n, func(i int) error {
		_, err := db.Append(ctx, records[i%len(records)], logdb.AppendOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return db.Close()
}

// BenchmarkProcess is what a record costs a whole process in CPU, from its start
// to its clean end, with all flushes and merges: one that appends with the
// library, and a server that is sent the same batches over connections that are
// kept. 20,000 batches are 512 MB, eight memtables:
//
//	go test ./cmd/logdb -run '^$' -bench Process -benchtime 20000x
//
// LOGDB_COST_PROFILE=30 also takes a CPU profile of the server over so many
// seconds, into a file named for the content type.
func BenchmarkProcess(b *testing.B) {
	b.Run("library", func(b *testing.B) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "LOGDB_TEST_APPENDS="+strconv.Itoa(b.N), "LOGDB_BUCKET=file:"+b.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		reportCPU(b, cmd.ProcessState)
	})
	for _, kind := range []string{"protobuf", "json"} {
		b.Run(kind, func(b *testing.B) {
			s := startServer(b, nil, "--bucket", "file:"+b.TempDir(), "--wal", "", "--ack", "applied", "--listen", "127.0.0.1:0")
			c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: costWriters}}
			bodies, profile := costBodies(b, kind), profiled(b, s, kind)
			err := inTurn(b.N, func(i int) error {
				status, err := post(c, s.url+"/api/v1/log/append", "application/"+kind, bodies[i%len(bodies)])
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("answered %d", status)
				}
				return err
			})
			must(b, err)
			profile()
			c.CloseIdleConnections()
			s.stop()
			reportCPU(b, s.cmd.ProcessState)
		})
	}
}

// reportCPU takes what the kernel says that a process and its threads have used.
func reportCPU(b *testing.B, p *os.ProcessState) {
	records := float64(b.N * costBatch)
	b.ReportMetric(float64(p.UserTime()+p.SystemTime())/records, "cpu-ns/record")
	b.ReportMetric(float64(p.UserTime())/records, "user-ns/record")
	if u, ok := p.SysUsage().(*syscall.Rusage); ok {
		b.ReportMetric(float64(u.Maxrss)/1024, "rss-MiB")
	}
}

func costBodies(b *testing.B, kind string) (bodies [][]byte) {
	for _, records := range costRecords() {
		if kind == "json" {
			body := []byte(`{"records":[`)
			for i, r := range records {
				if i > 0 {
					body = append(body, ',')
				}
				body = fmt.Appendf(body, `{"key":"%s","value":"%s"}`, base64.StdEncoding.EncodeToString(r.Key), base64.StdEncoding.EncodeToString(r.Value))
			}
			bodies = append(bodies, append(body, "]}"...))
			continue
		}
		m := &logpb.AppendRequest{}
		for _, r := range records {
			m.Records = append(m.Records, &logpb.Record{Key: r.Key, Value: r.Value})
		}
		body, err := proto.Marshal(m)
		must(b, err)
		bodies = append(bodies, body)
	}
	return bodies
}

func post(c *http.Client, url, kind string, body []byte) (int, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Accept", kind)
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// profiled begins a profile if one is wanted; what it returns waits for it.
func profiled(b *testing.B, s *served, kind string) (wait func()) {
	seconds := os.Getenv("LOGDB_COST_PROFILE")
	if seconds == "" || b.N == 1 {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := http.Get(s.admin + "/debug/pprof/profile?seconds=" + seconds)
		if err != nil {
			b.Error(err)
			return
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err == nil {
			err = os.WriteFile("cpu-"+kind+".pprof", data, 0o600)
		}
		if err != nil {
			b.Error(err)
		}
	}()
	return func() { <-done }
}
