package logdb_test

import (
	"context"
	"fmt"
	"log"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/objstore"
)

// A log in memory, written and read in one process: what a test needs.
func Example() {
	ctx := context.Background()
	bucket := objstore.NewMem()

	db, err := logdb.Open(ctx, bucket, logdb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	_, err = db.Append(ctx, []logdb.Record{
		{Key: []byte("user/7"), Value: []byte("signed in")},
		{Key: []byte("user/9"), Value: []byte("signed up")},
		{Key: []byte("user/7"), Value: []byte("bought a hat")},
	}, logdb.AppendOptions{Ack: logdb.Remote})
	if err != nil {
		log.Fatal(err)
	}

	// Another process would open the same bucket by its URL.
	reader, err := logdb.OpenReader(ctx, bucket, logdb.ReaderOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	for e, err := range reader.Scan(ctx, []byte("user/7"), logdb.Range{}, logdb.ScanOptions{}).All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Sequence, string(e.Value))
	}
	// Output:
	// 0 signed in
	// 2 bought a hat
}

// A cursor that survives: NextSequence is where to go on, also for a key that
// has nothing new.
func ExampleIterator_NextSequence() {
	ctx := context.Background()
	db, err := logdb.Open(ctx, objstore.NewMem(), logdb.Options{Ack: logdb.Applied})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	for _, v := range []string{"a", "b", "c"} {
		if _, err := db.Append(ctx, []logdb.Record{{Key: []byte("k"), Value: []byte(v)}}, logdb.AppendOptions{}); err != nil {
			log.Fatal(err)
		}
	}
	page := logdb.ScanOptions{Records: logdb.AtMost(2)}
	for cursor := uint64(0); cursor < db.Frontier(); {
		it := db.Scan(ctx, []byte("k"), logdb.From(cursor), page)
		for it.Next() {
			fmt.Print(string(it.Entry().Value), " ")
		}
		if it.Err() != nil {
			log.Fatal(it.Err())
		}
		cursor = it.NextSequence()
		it.Close()
		fmt.Println("next", cursor)
	}
	// Output:
	// a b next 2
	// c next 3
}
