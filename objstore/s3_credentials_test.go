package objstore_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// keyFile is a file of credentials that somebody else renews.
type keyFile struct {
	t    *testing.T
	path string
}

// newKeyFile makes the SDK look for credentials in a file and nowhere else.
func newKeyFile(t *testing.T) *keyFile {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	f := &keyFile{t, filepath.Join(t.TempDir(), "credentials")}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", f.path)
	return f
}

// hold replaces the keys in the file.
func (f *keyFile) hold(id, secret string) {
	f.t.Helper()
	body := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, secret)
	if err := os.WriteFile(f.path+".new", []byte(body), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		f.t.Fatal(err)
	}
}

// accepting makes the fake serve one key only, and answer others that they have expired.
func accepting(fake *fakeS3, key *atomic.Value) {
	fake.setAnswer(func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.Contains(r.Header.Get("Authorization"), "Credential="+key.Load().(string)+"/") {
			return false
		}
		s3Answer(w, http.StatusForbidden, "ExpiredToken")
		return true
	})
}

// usable waits until the bucket is read and written again, as its users do: by asking until it is. What it is told until
// then is that it is denied, and nothing else.
func usable(t *testing.T, b objstore.Bucket) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		_, put := b.Put(t.Context(), "o", []byte("renewed"), objstore.Always())
		_, get := b.Get(t.Context(), "o")
		if put == nil && get == nil {
			return
		}
		for _, err := range []error{put, get} {
			if err != nil && !errors.Is(err, objstore.ErrAccessDenied) {
				t.Fatalf("before the renewal is noticed: %v", err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("a minute after the renewal: put %v, get %v", put, get)
		}
		time.Sleep(20 * time.Millisecond) // between two questions, not for an answer
	}
}

func wantDenied(t *testing.T, b objstore.Bucket) {
	t.Helper()
	_, err := b.Put(t.Context(), "o", nil, objstore.Always())
	wantSentinel(t, "put with keys that have expired", err, objstore.ErrAccessDenied)
	_, err = b.Get(t.Context(), "o")
	wantSentinel(t, "get with keys that have expired", err, objstore.ErrAccessDenied)
}

// TestS3KeysRenewedInFile: nothing in the file says when its keys expire. The store does, and then the file is read again.
func TestS3KeysRenewedInFile(t *testing.T) {
	file := newKeyFile(t)
	fake, valid := newFakeS3(), atomic.Value{}
	valid.Store("FIRST")
	accepting(fake, &valid)
	file.hold("FIRST", "secret")
	b := openFakeS3(t, direct{fake})
	put(t, b, "o", "with the first", objstore.IfAbsent())
	valid.Store("SECOND")
	wantDenied(t, b)
	file.hold("SECOND", "secret")
	usable(t, b)
	if o, err := b.Get(t.Context(), "o"); err != nil || string(o.Data) != "renewed" {
		t.Fatalf("get: got %q, %v", o.Data, err)
	}
}

// TestS3KeysRenewedOnServer: the same, with a real server to judge the keys, where there is one.
func TestS3KeysRenewedOnServer(t *testing.T) {
	if os.Getenv("LOGDB_S3_URL") == "" {
		t.Skip("LOGDB_S3_URL names no server")
	}
	options, id, secret := serverOptions(t), os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	put(t, openS3(t, options), "o", "before", objstore.IfAbsent())
	file := newKeyFile(t)
	file.hold("WITHDRAWN", "secret")
	b := openS3(t, options)
	wantDenied(t, b)
	file.hold(id, secret)
	usable(t, b)
}

// TestS3KeysThatSayWhenTheyExpire: those of a role, as containers get them, are asked for again before a request fails.
func TestS3KeysThatSayWhenTheyExpire(t *testing.T) {
	newKeyFile(t) // which there is none of
	fake, valid := newFakeS3(), atomic.Value{}
	valid.Store("ROLE-1")
	accepting(fake, &valid)
	var asked atomic.Int64
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":"s","Token":"t","Expiration":%q}`,
			valid.Load(), time.Now().Add(time.Minute).UTC().Format(time.RFC3339))
	}))
	defer role.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	b := openFakeS3(t, direct{fake})
	put(t, b, "o", "with the first", objstore.IfAbsent())
	valid.Store("ROLE-2")
	put(t, b, "o", "with the second", objstore.Always())
	if asked.Load() < 2 {
		t.Errorf("the role was asked for %d times, want 2", asked.Load())
	}
}
