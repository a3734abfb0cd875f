package objstore

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// namedMems are the buckets that "mem:name" shares between all who open that name in this process.
var namedMems sync.Map // string -> *Mem

// Open returns the bucket that a URL names:
//
//	mem:                a new bucket in memory, another one at each call
//	mem:name            the bucket in memory of that name, one per process
//	file:///dir         a directory on this machine; file:dir is relative
//	s3://bucket/prefix  with ?region=, &endpoint= and &path_style=, see S3Options
//
// Nothing is asked of the store. A URL that says anything else is fs.ErrInvalid.
func Open(ctx context.Context, rawURL string) (Bucket, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("objstore: open bucket: not a url: %w", fs.ErrInvalid) // err would quote what may be secret
	}
	rawURL = u.Redacted() // for messages: a password that somebody put there goes into no log
	if u.Scheme != "s3" && u.RawQuery != "" {
		return nil, badURL(rawURL, "parameters are for s3 only")
	}
	if u.Fragment != "" || u.User != nil {
		return nil, badURL(rawURL, "no user, password or fragment is understood")
	}
	switch u.Scheme {
	case "mem":
		return openMem(rawURL, u)
	case "file":
		return openFile(rawURL, u)
	case "s3":
		return openS3(ctx, rawURL, u)
	default:
		return nil, badURL(rawURL, "want a scheme of mem, file or s3")
	}
}

func badURL(rawURL, why string) error {
	return fmt.Errorf("objstore: open bucket %q: %s: %w", rawURL, why, fs.ErrInvalid)
}

func openMem(rawURL string, u *url.URL) (Bucket, error) {
	if u.Host != "" || u.Path != "" {
		return nil, badURL(rawURL, "want mem: or mem:name")
	}
	if u.Opaque == "" {
		return NewMem(), nil
	}
	m, _ := namedMems.LoadOrStore(u.Opaque, NewMem())
	return m.(*Mem), nil
}

func openFile(rawURL string, u *url.URL) (Bucket, error) {
	if u.Host != "" {
		return nil, badURL(rawURL, "want three slashes: file:///dir")
	}
	dir := u.Path
	if u.Opaque != "" {
		unescaped, err := url.PathUnescape(u.Opaque)
		if err != nil {
			return nil, badURL(rawURL, err.Error())
		}
		dir = unescaped
	}
	if dir == "" {
		return nil, badURL(rawURL, "want a directory")
	}
	return NewFile(filepath.FromSlash(dir))
}

func openS3(ctx context.Context, rawURL string, u *url.URL) (Bucket, error) {
	o := S3Options{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, badURL(rawURL, err.Error())
	}
	for parameter, values := range query {
		value := values[len(values)-1]
		switch parameter {
		case "region":
			o.Region = value
		case "endpoint":
			o.Endpoint = value
		case "path_style":
			if o.PathStyle, err = strconv.ParseBool(value); err != nil {
				return nil, badURL(rawURL, "path_style wants 1 or 0")
			}
		default:
			return nil, badURL(rawURL, "unknown parameter "+strconv.Quote(parameter))
		}
	}
	return NewS3(ctx, o)
}
