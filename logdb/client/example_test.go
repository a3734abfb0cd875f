package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/client"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/objstore"
)

// served serves an empty log in memory until it is stopped.
func served() (address string, stop func()) {
	db, err := logdb.Open(context.Background(), objstore.NewMem(), logdb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s := server.New(db, server.Options{})
	web := httptest.NewServer(s)
	return web.URL, func() {
		web.Close()
		s.Drain()
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
	}
}

// A client does over the network what a LogDb does in its process.
func Example() {
	address, stop := served()
	defer stop()

	ctx := context.Background()
	c, err := client.New(address, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	a, err := c.Append(ctx, []logdb.Record{
		{Key: []byte("greetings"), Value: []byte("hello")},
		{Key: []byte("greetings"), Value: []byte("good day")},
	}, logdb.AppendOptions{Ack: logdb.Remote})
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range c.AtLeast(a.Next).Scan(ctx, []byte("greetings"), logdb.Range{}, logdb.ScanOptions{}).All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Sequence, string(e.Value))
	}
	// Output:
	// 0 hello
	// 1 good day
}

// A follower that is started again goes on where the one before it was.
func ExampleClient_Follow() {
	address, stop := served()
	defer stop()
	c, err := client.New(address, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx, key, checkpoint := context.Background(), []byte("jobs"), uint64(0)
	for _, value := range []string{"one", "two", "three"} {
		if _, err := c.Append(ctx, []logdb.Record{{Key: key, Value: []byte(value)}}, logdb.AppendOptions{}); err != nil {
			log.Fatal(err)
		}
		it := c.Follow(ctx, key, checkpoint, logdb.ScanOptions{})
		if !it.Next() { // waits for the next entry, over broken connections too
			log.Fatal(it.Err())
		}
		fmt.Println(string(it.Entry().Value))
		checkpoint = it.NextSequence()
		it.Close()
	}
	// Output:
	// one
	// two
	// three
}
