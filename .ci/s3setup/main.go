// Command s3setup makes a freshly started S3 server ready for the tests: it waits until the server is
// healthy, creates a bucket, and checks the one promise that everything above rests on, that a second
// PUT with If-None-Match is refused. It exits non-zero when any of that does not happen in time.
//
// With -xattr it says by its exit status whether a directory keeps extended attributes.
//
// With -port it prints a free loopback port instead. The port is free when it is looked at; a server that
// finds it taken a moment later fails to start, which the caller sees.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sys/unix"
)

// probeKey exists only while setup runs: the conformance tests expect an empty bucket.
const probeKey = "s3setup-probe"

func main() {
	port := flag.Bool("port", false, "print a free loopback port and exit")
	xattr := flag.String("xattr", "", "exit non-zero if this directory's file system has no extended attributes")
	endpoint := flag.String("endpoint", "", "base URL of the server")
	health := flag.String("health", "/health", "path that answers 200 once the server is ready")
	bucket := flag.String("bucket", "", "bucket to create")
	wait := flag.Duration("wait", 30*time.Second, "give up after this long")
	flag.Parse()

	ctx, cancel := context.WithTimeout(context.Background(), *wait)
	defer cancel()
	var err error
	switch {
	case *port:
		err = printFreePort(os.Stdout)
	case *xattr != "":
		err = unix.Setxattr(*xattr, "user.s3setup", []byte("x"), 0)
	default:
		err = setup(ctx, *endpoint, *health, *bucket)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "s3setup:", err)
		os.Exit(1)
	}
}

func printFreePort(w io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = fmt.Fprintln(w, l.Addr().(*net.TCPAddr).Port)
	return err
}

func setup(ctx context.Context, endpoint, health, bucket string) error {
	if endpoint == "" || bucket == "" {
		return errors.New("want -endpoint and -bucket")
	}
	if err := waitHealthy(ctx, endpoint+health); err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS configuration: %w", err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(endpoint)
		o.UsePathStyle = true
	})
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		return fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	return checkConditional(ctx, client, bucket)
}

// waitHealthy polls because a server that is starting has no other way to say that it is done.
func waitHealthy(ctx context.Context, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		last := get(ctx, url)
		if last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("server never became healthy: %w", last)
		case <-tick.C:
		}
	}
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: got status %d, want 200", url, resp.StatusCode)
	}
	return nil
}

func checkConditional(ctx context.Context, client *s3.Client, bucket string) error {
	put := func(body string) error {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{
			Bucket:      &bucket,
			Key:         aws.String(probeKey),
			Body:        strings.NewReader(body),
			IfNoneMatch: aws.String("*"),
		})
		return err
	}
	if err := put("first"); err != nil {
		return fmt.Errorf("first conditional PUT: %w", err)
	}
	var refused *smithyhttp.ResponseError
	if err := put("second"); !errors.As(err, &refused) || refused.HTTPStatusCode() != http.StatusPreconditionFailed {
		return fmt.Errorf("second conditional PUT: got %v, want status 412", err)
	}
	fmt.Fprintf(os.Stderr, "s3setup: bucket %s is ready, a second PUT with If-None-Match answered %d\n",
		bucket, refused.HTTPStatusCode())
	if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(probeKey)}); err != nil {
		return fmt.Errorf("delete probe object: %w", err)
	}
	return nil
}
