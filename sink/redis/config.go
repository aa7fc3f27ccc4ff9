package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/source"
)

// Config is the section of a Redis sink.
type Config struct {
	// Addrs are addresses of one server, host:port: of the primary and, if you
	// like, of its replicas. The first one that answers as a primary is taken.
	// With MasterName they are addresses of Sentinels, which know the primary.
	Addrs []string `yaml:"addrs"`
	// MasterName is the name by which Sentinels know the primary; empty: no
	// Sentinels. They may ask for a login of their own.
	MasterName       string `yaml:"master_name"`
	SentinelUsername string `yaml:"sentinel_username"`
	SentinelPassword string `yaml:"sentinel_password" secret:"true"`

	Username string `yaml:"username"` // of an ACL user; empty: the default user
	Password string `yaml:"password" secret:"true"`
	DB       int    `yaml:"db"` // number of the database
	TLS      TLS    `yaml:"tls"`
	// Keys say which keys the rows of a table make stale.
	Keys []cachekey.Rule `yaml:"keys"`
	// OnGap says what happens to entries of which nobody knows whether they missed
	// a delete: auto, fail, flush_prefix or bump_generation.
	OnGap OnGap `yaml:"on_gap"`
	// CommandKeys is how many keys one UNLINK names. Redis does nothing else while
	// it runs one. Default 500.
	CommandKeys    int           `yaml:"command_keys"`
	RequestTimeout time.Duration `yaml:"request_timeout"` // of one round trip
	DialTimeout    time.Duration `yaml:"dial_timeout"`    // of a new connection, TLS and login included

	// Installation and Pipeline name the beacon. They come from elsewhere in the
	// file.
	Installation string `yaml:"-"`
	Pipeline     string `yaml:"-"`
	// Watermark tells what the source shows; the sink closes it. Nil: whatever is
	// in the log shows, and keys are deleted once.
	Watermark source.Watermark `yaml:"-"`
}

// OnGap is a policy for entries whose deletes may have been missed.
type OnGap string

// The policies. Auto is Fail at the first start of a pipeline, so that nobody's
// cache is emptied unasked, and FlushPrefix from then on.
const (
	Auto           OnGap = "auto"
	Fail           OnGap = "fail"
	FlushPrefix    OnGap = "flush_prefix"    // deletes every key that begins as a template does
	BumpGeneration OnGap = "bump_generation" // deletes the tables' generation keys: entries of readers that look at those are misses
)

// TLS says how connections are encrypted.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CA         string `yaml:"ca"`   // file with the certificates to trust; empty: those of the system
	Cert       string `yaml:"cert"` // file with our certificate, for servers that ask for one
	Key        string `yaml:"key"`
	ServerName string `yaml:"server_name"` // expected in the server's certificate; empty: its host name
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{OnGap: Auto, CommandKeys: 500, RequestTimeout: 5 * time.Second, DialTimeout: 5 * time.Second}
}

// Validate reports everything that is wrong with c, but for the keys: those are
// the format's.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Addrs) == 0 {
		bad(`addrs: name the server, such as ["127.0.0.1:6379"]`)
	}
	for _, a := range c.Addrs {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			bad("addrs: want host:port, have %q", a)
		}
	}
	if c.DB < 0 {
		bad("db: want 0 or more, have %d", c.DB)
	}
	if c.CommandKeys < 1 || c.CommandKeys > 100_000 {
		bad("command_keys: want 1 to 100000, have %d", c.CommandKeys)
	}
	if c.RequestTimeout <= 0 || c.DialTimeout <= 0 {
		bad("request_timeout, dial_timeout: want more than 0")
	}
	if c.Username != "" && c.Password == "" {
		bad("password: want that of user %s", c.Username)
	}
	if c.MasterName == "" && c.SentinelUsername+c.SentinelPassword != "" {
		bad("master_name: want the name by which the Sentinels know the primary")
	}
	if !c.TLS.Enabled && c.TLS != (TLS{}) {
		bad("tls: set enabled: true, or leave the other keys out")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		bad("tls: cert and key go together")
	}
	return errors.Join(append(errs, c.gapError())...)
}

// gapError is what is wrong with OnGap.
func (c Config) gapError() error {
	switch c.OnGap {
	case Auto, FlushPrefix:
		for _, r := range c.Keys {
			if prefix(r.Key) == "" {
				return fmt.Errorf("on_gap: %s deletes the keys that begin as a template does, and %q begins with a column: put some text before it, or choose fail or bump_generation", c.OnGap, r.Key)
			}
		}
	case Fail, BumpGeneration:
	case "wait_max_ttl":
		return errors.New("on_gap: wait_max_ttl is not there yet; auto, fail, flush_prefix and bump_generation are")
	default:
		return fmt.Errorf("on_gap: want auto, fail, flush_prefix or bump_generation, have %q", string(c.OnGap))
	}
	return nil
}

// prefix is the text with which every key of a template begins.
func prefix(template string) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		switch template[i] {
		case '{':
			return b.String()
		case '\\':
			if i++; i == len(template) {
				return b.String()
			}
		}
		b.WriteByte(template[i])
	}
	return b.String()
}

// config reads the files each time, so that renewed certificates are taken up.
func (t TLS) config(addr string) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(addr) // validated
	}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read tls.ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.ca: %s holds no certificate", t.CA)
		}
	}
	if t.Cert == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("read tls.cert and tls.key: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
