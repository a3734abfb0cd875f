package objstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
)

// credentials are what requests are signed with. The SDK asks for new ones when those that it has say that they have
// expired. Keys in files and in the environment do not say so, and the store may withdraw any: then its answer tells,
// and the whole chain is gone through again, files included.
type credentials struct {
	cache   *aws.CredentialsCache
	doubted atomic.Int64 // when they were last given up, in ns
}

// doubtEvery bounds how often the chain is gone through because of answers: many requests fail at once.
const doubtEvery = time.Second

// newCredentials begins with those of cfg and takes later ones from what load finds then.
func newCredentials(cfg aws.Config, load func(context.Context) (aws.Config, error)) *credentials {
	c := &credentials{}
	var again atomic.Bool
	c.cache = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		if !again.Swap(true) {
			return cfg.Credentials.Retrieve(ctx)
		}
		now, err := load(ctx)
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("look for credentials again: %w", err)
		}
		return now.Credentials.Retrieve(ctx)
	}))
	return c
}

// withdrawn are the answers that new credentials may mend. AccessDenied is none: it is about permissions. Nor is a
// signature that does not match: the SDK keeps what it derived from a secret for as long as the key's ID is the same.
var withdrawn = []string{
	"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId",
	"XAdminUserNotFound", // versitygw, of an ID that it does not know, as a 404
}

func isWithdrawn(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(withdrawn, api.ErrorCode())
}

// doubt gives the credentials up if err says so: the next request looks for others.
func (c *credentials) doubt(err error) {
	if !isWithdrawn(err) {
		return
	}
	now, last := time.Now().UnixNano(), c.doubted.Load()
	if now-last >= int64(doubtEvery) && c.doubted.CompareAndSwap(last, now) {
		c.cache.Invalidate()
	}
}
