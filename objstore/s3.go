package objstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3Options says which bucket, and how it is reached.
type S3Options struct {
	// Bucket is the name of an existing bucket. Required.
	Bucket string
	// Prefix is a folder in it that all names are below; empty is the whole bucket.
	Prefix string
	// Region of the bucket; empty is what the environment says, and us-east-1 where Endpoint is set.
	Region string
	// Endpoint is the base URL of another server than Amazon's, "http://127.0.0.1:9000" for one.
	Endpoint string
	// PathStyle puts the bucket's name into the path and not into the host name, as most other servers need it.
	PathStyle bool
	// Transport, where it is set, wraps the HTTP transport: tests put faults and recorders there.
	Transport func(http.RoundTripper) http.RoundTripper
}

// S3 is a bucket on Amazon S3, or on a server that speaks its protocol and honours If-Match and If-None-Match on
// PutObject (not all do: see Probe). Credentials come from the standard chain of the AWS SDK; where the store says that they
// have expired or are not known, they are looked for again, so that a renewed file or role is used without a restart.
//
// Writes are single PutObject requests of at most 5 GiB, sent once, with a CRC32C that the server checks and
// keeps, and with Cache-Control: no-store. Reads are tried up to three times, and checked against the server's
// checksum where it sends one, which S3 does for whole objects only.
//
// A server may lock a name while the body of a conditional PUT arrives. A client that stops in the middle of one then
// holds up all others who ask for that name, until the server gives up on it: MinIO does so after 30 s, unless
// MINIO_IDLE_TIMEOUT says otherwise.
type S3 struct {
	client      *s3.Client
	credentials *credentials
	bucket      string
	folder      string // "" or ends in a slash
}

const (
	defaultRegion = "us-east-1"
	// readAttempts bounds requests for one read, and bodies fetched for it.
	readAttempts = 3
	// idleConnections are kept open to the store: a TLS handshake costs more than a small request.
	idleConnections = 128
)

// NewS3 returns a bucket. It reads the environment and the SDK's configuration files but asks nothing of the store. Options
// that cannot work are fs.ErrInvalid.
func NewS3(ctx context.Context, o S3Options) (*S3, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	cfg, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	plain := o // credentials are looked for past the transport that is given for the store
	plain.Region, plain.Transport = cfg.Region, nil
	bucket := &S3{bucket: o.Bucket, folder: o.folder(), credentials: newCredentials(cfg, plain.load)}
	cfg.Credentials = bucket.credentials.cache
	bucket.client = s3.NewFromConfig(cfg, func(so *s3.Options) {
		so.UsePathStyle = o.PathStyle
		so.RetryMaxAttempts = readAttempts
		// Put sends its own checksum. Asking for more would turn some requests into trailers that not every server reads.
		so.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		so.DisableLogOutputChecksumValidationSkipped = true
		if o.Endpoint != "" {
			so.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	return bucket, nil
}

func (o *S3Options) folder() string {
	folder := strings.TrimSuffix(o.Prefix, "/")
	if folder == "" {
		return ""
	}
	return folder + "/"
}

func (o *S3Options) check() error {
	if o.Bucket == "" {
		return fmt.Errorf("objstore: open s3: no bucket: %w", fs.ErrInvalid)
	}
	if folder := strings.TrimSuffix(o.Prefix, "/"); folder != "" {
		if err := checkName(folder); err != nil {
			return fmt.Errorf("objstore: open s3: prefix: %w", err)
		}
	}
	if o.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("objstore: open s3: endpoint %q: want http://host or https://host: %w", o.Endpoint, fs.ErrInvalid)
	}
	return nil
}

func (o *S3Options) load(ctx context.Context) (aws.Config, error) {
	// The SDK insists on this type of client when AWS_CA_BUNDLE is set.
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns = idleConnections
		t.MaxIdleConnsPerHost = idleConnections
	})
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(client)}
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("objstore: open s3: %w", err)
	}
	if cfg.Region == "" && o.Endpoint != "" {
		cfg.Region = defaultRegion
	}
	if cfg.Region == "" {
		return aws.Config{}, fmt.Errorf("objstore: open s3: neither the options nor the environment name a region: %w", fs.ErrInvalid)
	}
	if o.Transport != nil {
		cfg.HTTPClient, err = wrapTransport(cfg.HTTPClient, o.Transport)
	}
	return cfg, err
}

// wrapTransport keeps what the SDK's client does apart from sending: it does not follow redirects, which would not be signed.
func wrapTransport(client aws.HTTPClient, wrap func(http.RoundTripper) http.RoundTripper) (aws.HTTPClient, error) {
	buildable, ok := client.(*awshttp.BuildableClient)
	if !ok {
		return nil, fmt.Errorf("objstore: open s3: http client is a %T, want one whose transport can be wrapped", client)
	}
	return &http.Client{
		Transport:     wrap(buildable.GetTransport()),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// once keeps the SDK from repeating a request.
func once(so *s3.Options) { so.Retryer = aws.NopRetryer{} }

func (s *S3) key(name string) (*string, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	key := s.folder + name
	if len(key) > maxNameBytes {
		return nil, fmt.Errorf("objstore: name %.40q: got %d bytes with the prefix, want at most %d: %w", name, len(key), maxNameBytes, fs.ErrInvalid)
	}
	return &key, nil
}

var errRangeIgnored = errors.New("the store answered a request for a range with something else")
