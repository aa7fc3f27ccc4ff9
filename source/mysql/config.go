package mysql

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Config says which server is read, as whom, and what of it.
type Config struct {
	// Hosts are host:port addresses of one server, tried in order. Until
	// fail-over exists they must all lead to the same server.
	Hosts []string `yaml:"hosts"`
	User  string   `yaml:"user"`
	// Password of User. Take it from ${env:NAME} or ${file:PATH}.
	Password string  `yaml:"password"`
	TLS      TLS     `yaml:"tls"`
	Tables   Tables  `yaml:"tables"`
	Columns  Columns `yaml:"columns"`
	// Watermark is a table, as database.table, that cdcd writes a row to before
	// it reads a chunk of another one, where the server is MySQL without GTIDs:
	// once that is committed, everything logged before shows. A cache's pipeline
	// writes to it while changes come in. It is made if it is
	// not there, is never captured, and needs SELECT, INSERT and UPDATE. Without
	// it such tables are not read, and caches not kept clean.
	Watermark string `yaml:"watermark"`
	// SnapshotFrom are host:port addresses of replicas of the server, tried in
	// order: tables are read there, the log at Hosts. User, Password and TLS are
	// the same. Default: none, tables are read at Hosts.
	SnapshotFrom []string `yaml:"snapshot_from"`
	// ServerIDs is the range from which the server_id of the connection that
	// reads the log is taken: "4000-4999", or one number. Two readers of one
	// server with the same id throw each other out. Default: an id from 2^31
	// up, derived from the names of installation and pipeline.
	ServerIDs ServerIDs `yaml:"server_ids"`
	// Heartbeat is how often an idle server sends a sign of life. Default 1s.
	Heartbeat time.Duration `yaml:"heartbeat"`
	// SilenceTimeout is how long a connection may stay silent while we wait
	// for it before it counts as dead; at least three heartbeats. Default 10s.
	SilenceTimeout time.Duration `yaml:"silence_timeout"`
	// ConnectTimeout bounds connecting with TLS and authentication. Default 10s.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// QueryTimeout bounds each question to the server. Default 30s.
	QueryTimeout time.Duration `yaml:"query_timeout"`
	// MaxRowBytes is the largest row event that is read into memory; a larger
	// one of a captured table stops the pipeline (row_too_large). Default 64MiB.
	MaxRowBytes int64 `yaml:"max_row_bytes"`
}

// Tables selects tables by globs over "database.table", in which * stands for
// any run of characters and ? for one. The databases of the server itself
// (mysql, sys, performance_schema, information_schema) are left out unless an
// include names their database without a wildcard.
type Tables struct {
	Include []string `yaml:"include"` // default: everything
	Exclude []string `yaml:"exclude"` // wins over Include
}

// Columns leaves columns out, by globs over "database.table.column". Columns
// of the primary key should stay: without them the key is incomplete.
type Columns struct {
	Exclude []string `yaml:"exclude"`
}

// TLS says how the connection is protected.
type TLS struct {
	// Mode is disabled, preferred (encrypt if the server can), required
	// (encrypt, trust whoever answers), verify_ca (the certificate must be
	// signed by CA) or verify_identity (and name the host). Default preferred.
	Mode string `yaml:"mode"`
	CA   string `yaml:"ca"`   // file with the certificates to trust; default: those of the system
	Cert string `yaml:"cert"` // client certificate, with Key
	Key  string `yaml:"key"`
	// ServerName is the name that verify_identity expects. Default: the host.
	ServerName string `yaml:"server_name"`
}

// DefaultConfig returns a Config with every default filled in.
func DefaultConfig() Config {
	return Config{
		TLS:            TLS{Mode: tlsPreferred},
		Heartbeat:      time.Second,
		SilenceTimeout: 10 * time.Second,
		ConnectTimeout: 10 * time.Second,
		QueryTimeout:   30 * time.Second,
		MaxRowBytes:    64 << 20,
	}
}

// Validate reports all that is wrong with the values, each with its field.
func (c *Config) Validate() error {
	errs := []error{c.validateHosts(), c.validateTimes(), c.validateGlobs(), c.validateWatermark()}
	if c.User == "" {
		errs = append(errs, errors.New("user: is needed"))
	}
	if c.MaxRowBytes < 1<<20 || c.MaxRowBytes > 1<<30 {
		errs = append(errs, errors.New("max_row_bytes: must be from 1MiB to 1GiB, which is the most a server can send"))
	}
	return errors.Join(errs...)
}

func (c *Config) validateHosts() error {
	var errs []error
	if len(c.Hosts) == 0 {
		errs = append(errs, errors.New("hosts: at least one host:port is needed"))
	}
	errs = append(errs, validateAddresses("hosts", c.Hosts), validateAddresses("snapshot_from", c.SnapshotFrom))
	return errors.Join(errs...)
}

func validateAddresses(field string, list []string) error {
	var errs []error
	for i, h := range list {
		host, port, err := net.SplitHostPort(h)
		if err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("%s[%d]: %q is not host:port", field, i, h))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateTimes() error {
	var errs []error
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"heartbeat", c.Heartbeat}, {"connect_timeout", c.ConnectTimeout}, {"query_timeout", c.QueryTimeout},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be more than 0s", d.field))
		}
	}
	if c.SilenceTimeout < 3*c.Heartbeat {
		errs = append(errs, fmt.Errorf("silence_timeout: must be at least three heartbeats, %s", 3*c.Heartbeat))
	}
	return errors.Join(errs...)
}

func (c *Config) validateGlobs() error {
	var errs []error
	check := func(field string, globs []string, dots int) {
		for i, g := range globs {
			if strings.Count(g, ".") < dots || strings.Contains("."+g+".", "..") {
				errs = append(errs, fmt.Errorf("%s[%d]: %q needs the form %s", field, i, g,
					strings.Join([]string{"database", "table", "column"}[:dots+1], ".")))
			}
		}
	}
	check("tables.include", c.Tables.Include, 1)
	check("tables.exclude", c.Tables.Exclude, 1)
	check("columns.exclude", c.Columns.Exclude, 2)
	return errors.Join(errs...)
}

var plainTable = regexp.MustCompile(`^[a-z0-9_]+\.[a-z0-9_]+$`)

// validateWatermark asks for a name that servers of all settings keep as it is.
func (c *Config) validateWatermark() error {
	if c.Watermark == "" || plainTable.MatchString(c.Watermark) {
		return nil
	}
	return fmt.Errorf("watermark: %q needs the form database.table, in small letters, digits and underscores", c.Watermark)
}

// Validate reports all that is wrong with the section.
func (t *TLS) Validate() error {
	var errs []error
	switch t.Mode {
	case tlsDisabled, tlsPreferred, tlsRequired, tlsVerifyCA, tlsVerifyIdentity:
	default:
		errs = append(errs, errors.New("mode: must be disabled, preferred, required, verify_ca or verify_identity"))
	}
	if (t.Cert == "") != (t.Key == "") {
		errs = append(errs, errors.New("cert: cert and key are needed together"))
	}
	return errors.Join(errs...)
}

// ServerIDs is a range of server ids; the zero range means "derive one".
type ServerIDs struct{ Low, High uint32 }

// UnmarshalText reads "low-high" or one number; "" is the zero range.
func (r *ServerIDs) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = ServerIDs{}
		return nil
	}
	low, high, isRange := strings.Cut(strings.TrimSpace(string(text)), "-")
	if !isRange {
		high = low
	}
	l, errLow := strconv.ParseUint(strings.TrimSpace(low), 10, 32)
	h, errHigh := strconv.ParseUint(strings.TrimSpace(high), 10, 32)
	if errLow != nil || errHigh != nil || l == 0 || h < l {
		return fmt.Errorf("must be a range of server ids like 4000-4999, from 1 to 4294967295")
	}
	r.Low, r.High = uint32(l), uint32(h)
	return nil
}

// MarshalText writes what UnmarshalText reads; "" for the zero range.
func (r ServerIDs) MarshalText() ([]byte, error) {
	switch {
	case r == ServerIDs{}:
		return nil, nil
	case r.Low == r.High:
		return strconv.AppendUint(nil, uint64(r.Low), 10), nil
	}
	return fmt.Appendf(nil, "%d-%d", r.Low, r.High), nil
}
