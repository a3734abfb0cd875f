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

// A client does over the network what a LogDb does in its process.
func Example() {
	db, err := logdb.Open(context.Background(), objstore.NewMem(), logdb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	s := server.New(db, server.Options{})
	defer s.Drain()
	web := httptest.NewServer(s)
	defer web.Close()

	ctx := context.Background()
	c, err := client.New(web.URL, client.Options{})
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
	db, err := logdb.Open(context.Background(), objstore.NewMem(), logdb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	s := server.New(db, server.Options{})
	defer s.Drain()
	web := httptest.NewServer(s)
	defer web.Close()
	c, err := client.New(web.URL, client.Options{})
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
