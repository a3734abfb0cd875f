package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/logdb-go/logdb/logdb"
)

const (
	protobuf    = "application/protobuf"
	plainJSON   = "application/json"
	answerLimit = 256 << 20 // bytes of one answer
)

// server is a log behind the HTTP API. The level of an append goes into the address for servers that know levels, and
// logdb.Remote into the message, too, where all servers look for it.
type server struct {
	client *http.Client
	base   string
	json   bool
	tail   atomic.Uint64 // behind the last append that was answered
}

func newServer(base string, json bool) (*server, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("bench: server %q, want an address such as http://127.0.0.1:8080", base)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 1024, 1024
	return &server{client: &http.Client{Transport: transport}, base: strings.TrimSuffix(base, "/"), json: json}, nil
}

// Append implements Target.
func (s *server) Append(ctx context.Context, records []logdb.Record, level logdb.Durability) error {
	body, kind, err := s.appendRequest(records, level == logdb.Remote)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/api/v1/log/append?ack="+level.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	answer, err := s.ask(request)
	if err != nil {
		return err
	}
	first, n, err := s.appended(answer)
	if err != nil {
		return err
	}
	if n != uint64(len(records)) {
		return fmt.Errorf("bench: server appended %d records, want %d", n, len(records))
	}
	for next := first + n; ; {
		if was := s.tail.Load(); was >= next || s.tail.CompareAndSwap(was, next) {
			return nil
		}
	}
}

// Page implements Target.
func (s *server) Page(ctx context.Context, key []byte, cursor Cursor, limit int, visit func([]byte)) (int, Cursor, error) {
	query := url.Values{"key": {string(key)}, "start_seq": {strconv.FormatUint(uint64(cursor), 10)}, "limit": {strconv.Itoa(limit)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/api/v1/log/scan?"+query.Encode(), nil)
	if err != nil {
		return 0, cursor, err
	}
	answer, err := s.ask(request)
	if err != nil {
		return 0, cursor, err
	}
	p, err := s.scanned(answer)
	if err != nil {
		return 0, cursor, err
	}
	next := max(cursor, Cursor(p.next))
	for _, e := range p.entries {
		next = max(next, Cursor(e.sequence+1)) // a server that tells no next sequence
		if visit != nil {
			visit(e.value)
		}
	}
	return len(p.entries), next, nil
}

// ask sends a request and reads the answer.
func (s *server) ask(request *http.Request) ([]byte, error) {
	request.Header.Set("Accept", protobuf)
	if s.json {
		request.Header.Set("Accept", plainJSON)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("bench: server: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return nil, fmt.Errorf("bench: server: answer to %s: %w", request.URL.Path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("bench: server: %s answered %s: %.200s", request.URL.Path, response.Status, body)
	}
	return body, nil
}

// Tail implements Target.
func (s *server) Tail(context.Context) (Cursor, error) { return Cursor(s.tail.Load()), nil }

// Close implements Target.
func (s *server) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// scanPage is an answer to a scan.
type scanPage struct {
	entries []scanned
	next    uint64
}

type scanned struct {
	sequence uint64
	value    []byte
}

// anyUint is a number that some servers put in quotes.
type anyUint uint64

func (n *anyUint) UnmarshalJSON(data []byte) error {
	v, err := strconv.ParseUint(strings.Trim(string(data), `"`), 10, 64)
	*n = anyUint(v)
	return err
}

type recordJSON struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

func (s *server) appendRequest(records []logdb.Record, durable bool) (body []byte, contentType string, err error) {
	if !s.json {
		return encodeAppend(records, durable), protobuf, nil
	}
	m := struct {
		Records []recordJSON `json:"records"`
		Durable bool         `json:"awaitDurable"`
	}{make([]recordJSON, len(records)), durable}
	for i, r := range records {
		m.Records[i] = recordJSON{r.Key, r.Value}
	}
	body, err = json.Marshal(m)
	return body, plainJSON, err
}

func (s *server) appended(answer []byte) (first, n uint64, err error) {
	if !s.json {
		return decodeAppended(answer)
	}
	var m struct {
		Records anyUint `json:"recordsAppended"`
		First   anyUint `json:"startSequence"`
	}
	if err := json.Unmarshal(answer, &m); err != nil {
		return 0, 0, fmt.Errorf("bench: server: answer to append: %w", err)
	}
	return uint64(m.First), uint64(m.Records), nil
}

func (s *server) scanned(answer []byte) (p scanPage, err error) {
	if !s.json {
		return decodeScanned(answer)
	}
	var m struct {
		Values []struct {
			Sequence anyUint `json:"sequence"`
			Value    []byte  `json:"value"`
		} `json:"values"`
		Next anyUint `json:"nextSequence"`
	}
	if err := json.Unmarshal(answer, &m); err != nil {
		return p, fmt.Errorf("bench: server: answer to scan: %w", err)
	}
	p.next = uint64(m.Next)
	for _, v := range m.Values {
		p.entries = append(p.entries, scanned{uint64(v.Sequence), v.Value})
	}
	return p, nil
}
