package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/bench"
)

type options struct{ syncAlways, atomic bool }

func (o options) name() string {
	s := "jetstream"
	if o.atomic {
		s += " atomic"
	}
	if o.syncAlways {
		s += " fsync"
	}
	return s
}

func (o options) note() string {
	if o.syncAlways {
		return "file store, fsync before every acknowledgement, server and generator in one process"
	}
	return "file store, no fsync before acknowledgements, server and generator in one process"
}

const (
	stream  = "BENCH"
	subject = "k."
)

// jet is a stream in a server of this process.
type jet struct {
	options
	server  *server.Server
	conn    *nats.Conn
	js      jetstream.JetStream
	batches atomic.Uint64
	inboxes chan *nats.Subscription // that are not in use
}

func open(ctx context.Context, dir string, o options) (*jet, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "jetbench", DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
		JetStreamMaxStore: 1 << 42, JetStreamMaxMemory: 1 << 30, SyncAlways: o.syncAlways,
	})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	j := &jet{options: o, server: s, inboxes: make(chan *nats.Subscription, 1024)}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return nil, errors.Join(errors.New("server: not ready within 30 s"), j.Close())
	}
	if j.conn, err = nats.Connect("", nats.InProcessServer(s)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect: %w", err), j.Close())
	}
	if j.js, err = jetstream.New(j.conn, jetstream.WithPublishAsyncMaxPending(1<<16)); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	_, err = j.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: stream, Subjects: []string{subject + ">"}, Storage: jetstream.FileStorage, AllowDirect: true, AllowAtomicPublish: o.atomic,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stream: %w", err), j.Close())
	}
	return j, nil
}

// Append implements bench.Target.
func (j *jet) Append(ctx context.Context, records []logdb.Record, _ logdb.Durability) error {
	if j.atomic {
		return j.appendAtomic(ctx, records)
	}
	acks := make([]jetstream.PubAckFuture, len(records))
	for i, r := range records {
		ack, err := j.js.PublishAsync(subject+string(r.Key), r.Value)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		acks[i] = ack
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return fmt.Errorf("publish: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// appendAtomic publishes records as one batch: the server answers the last of them, for all.
func (j *jet) appendAtomic(ctx context.Context, records []logdb.Record) error {
	id := strconv.FormatUint(j.batches.Add(1), 10)
	for i, r := range records {
		m := &nats.Msg{Subject: subject + string(r.Key), Data: r.Value, Header: nats.Header{
			"Nats-Batch-Id": {id}, "Nats-Batch-Sequence": {strconv.Itoa(i + 1)},
		}}
		if i < len(records)-1 {
			if err := j.conn.PublishMsg(m); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
			continue
		}
		m.Header.Set("Nats-Batch-Commit", "1")
		answer, err := j.conn.RequestMsgWithContext(ctx, m)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		var ack struct {
			Error *struct {
				Description string `json:"description"`
			} `json:"error"`
		}
		if err := json.Unmarshal(answer.Data, &ack); err != nil {
			return fmt.Errorf("publish: answer: %w", err)
		}
		if ack.Error != nil {
			return fmt.Errorf("publish: %s", ack.Error.Description)
		}
	}
	return nil
}

// Page implements bench.Target. It asks for a batch of messages of one subject, which the store answers without a
// consumer.
func (j *jet) Page(ctx context.Context, key []byte, cursor bench.Cursor, limit int, visit func([]byte)) (int, bench.Cursor, error) {
	question, err := json.Marshal(map[string]any{"next_by_subj": subject + string(key), "seq": max(uint64(cursor), 1), "batch": limit})
	if err != nil {
		return 0, cursor, err
	}
	inbox, err := j.inbox()
	if err != nil {
		return 0, cursor, fmt.Errorf("subscribe: %w", err)
	}
	n, next, err := j.page(ctx, inbox, question, cursor, visit)
	if err != nil {
		_ = inbox.Unsubscribe() // what is still on its way must reach no other question
		return n, next, err
	}
	select {
	case j.inboxes <- inbox:
	default:
		_ = inbox.Unsubscribe()
	}
	return n, next, nil
}

// inbox returns a subscription for the answers to one question: one that was used before, if there is any.
func (j *jet) inbox() (*nats.Subscription, error) {
	select {
	case s := <-j.inboxes:
		return s, nil
	default:
		return j.conn.SubscribeSync(j.conn.NewInbox())
	}
}

// page asks a question and reads its answers up to the last.
func (j *jet) page(ctx context.Context, inbox *nats.Subscription, question []byte, cursor bench.Cursor, visit func([]byte)) (int, bench.Cursor, error) {
	if err := j.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox.Subject, question); err != nil {
		return 0, cursor, fmt.Errorf("get: %w", err)
	}
	for n := 0; ; n++ {
		m, err := inbox.NextMsgWithContext(ctx)
		if err != nil {
			return n, cursor, fmt.Errorf("get: %w", err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204", "404": // the end of the batch; nothing there
			return n, cursor, nil
		default:
			return n, cursor, fmt.Errorf("get: %s %s", status, m.Header.Get("Description"))
		}
		sequence, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil {
			return n, cursor, fmt.Errorf("get: sequence: %w", err)
		}
		cursor = bench.Cursor(sequence + 1)
		if visit != nil {
			visit(m.Data)
		}
	}
}

// Tail implements bench.Target.
func (j *jet) Tail(ctx context.Context) (bench.Cursor, error) {
	s, err := j.js.Stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("stream: %w", err)
	}
	return bench.Cursor(s.CachedInfo().State.LastSeq + 1), nil
}

// Close implements bench.Target.
func (j *jet) Close() error {
	if j.conn != nil {
		j.conn.Close()
	}
	j.server.Shutdown()
	j.server.WaitForShutdown()
	return nil
}
