package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// certificatesEvery is the least time between two looks at the files.
const certificatesEvery = 5 * time.Second

// certificates are what a server shows and whom it believes, by files that are
// replaced while it runs: certificates are short-lived, and followers are not to
// be sent away for a new one.
type certificates struct {
	o      RunOptions
	logger *slog.Logger
	now    func() time.Time
	loaded atomic.Pointer[loadedTLS]
	next   atomic.Int64 // when to look again, ns
}

type loadedTLS struct {
	config *tls.Config
	files  []fileState
}

type fileState struct {
	changed time.Time
	size    int64
}

// tls is nil where there is none.
func (o RunOptions) tls(logger *slog.Logger) (*tls.Config, error) {
	if o.TLSCert == "" && o.TLSKey == "" {
		if o.ClientCA != "" {
			return nil, errors.New("server: certificates of clients need TLS: a certificate and key are missing")
		}
		return nil, nil
	}
	c := &certificates{o: o, logger: logger, now: time.Now}
	if err := c.load(); err != nil {
		return nil, err
	}
	c.next.Store(c.now().Add(certificatesEvery).UnixNano())
	return &tls.Config{GetConfigForClient: c.current, MinVersion: tls.VersionTLS12}, nil
}

// current is asked at each handshake. One of those who ask looks at the files if
// it is time to; the others go on with what there is.
func (c *certificates) current(*tls.ClientHelloInfo) (*tls.Config, error) {
	now, due := c.now().UnixNano(), c.next.Load()
	if now >= due && c.next.CompareAndSwap(due, now+int64(certificatesEvery)) {
		if err := c.load(); err != nil {
			c.logger.Error("server: certificates were not read again, those of before stay", "err", err)
		}
	}
	return c.loaded.Load().config, nil
}

// load reads the files if one of them has changed. Their state is taken first:
// one that changes while it is read is read again the next time.
func (c *certificates) load() error {
	var files []fileState
	for _, name := range []string{c.o.TLSCert, c.o.TLSKey, c.o.ClientCA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("server: TLS: %w", err)
		}
		files = append(files, fileState{info.ModTime(), info.Size()})
	}
	if old := c.loaded.Load(); old != nil && slices.Equal(old.files, files) {
		return nil
	}
	config, err := c.o.readTLS()
	if err != nil {
		return err
	}
	c.loaded.Store(&loadedTLS{config, files})
	return nil
}

func (o RunOptions) readTLS() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("server: TLS: %w", err)
	}
	// What a client is answered with has to name the protocols itself.
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if o.ClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(o.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("server: TLS: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("server: TLS: no certificate in %s", o.ClientCA)
	}
	return config, nil
}
