package server_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/objstore"
)

// A Server is a handler: it can be mounted beside others.
func Example() {
	db, err := logdb.Open(context.Background(), objstore.NewMem(), logdb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	s := server.New(db, server.Options{})
	defer s.Drain()
	mux := http.NewServeMux()
	mux.Handle("/api/", s)
	web := httptest.NewServer(mux)
	defer web.Close()

	_, err = http.Post(web.URL+"/api/v1/log/append?ack=remote", "application/json",
		strings.NewReader(`{"records":[{"key":"Z3JlZXRpbmdz","value":"aGVsbG8="}]}`))
	if err != nil {
		log.Fatal(err)
	}
	resp, err := http.Get(web.URL + "/api/v1/log/count?key=greetings")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(body))
	// Output: {"status":"success","count":1}
}
