package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Config is the section of a Kafka sink. Topics are the format's business.
type Config struct {
	Brokers  []string `yaml:"brokers"`   // host:port of some brokers; the others are found through them
	ClientID string   `yaml:"client_id"` // as quotas and the brokers' logs know us
	// Delivery is exactly_once (each source transaction in exactly one Kafka
	// transaction, with the position inside it) or at_least_once.
	Delivery    string      `yaml:"delivery"`
	Compression Compression `yaml:"compression"`
	// BatchBytes is the largest record batch before compression. The topic's
	// max.message.bytes bounds it too.
	BatchBytes int `yaml:"batch_bytes"`
	// A Kafka transaction is committed when it holds GroupBytes or is GroupDelay
	// old and more is waiting. When nothing waits it is committed at once.
	GroupBytes int           `yaml:"group_bytes"`
	GroupDelay time.Duration `yaml:"group_delay"`
	// InflightBytes bounds the batches that brokers have not acknowledged.
	InflightBytes int `yaml:"inflight_bytes"`
	// TransactionTimeout is how long a Kafka transaction may stay open. The
	// brokers abort it then; we stop before.
	TransactionTimeout time.Duration `yaml:"transaction_timeout"`
	RequestTimeout     time.Duration `yaml:"request_timeout"` // of one request to a broker
	DialTimeout        time.Duration `yaml:"dial_timeout"`    // of a new connection, TLS and SASL included
	// CheckpointInterval is how often at_least_once stores its position.
	CheckpointInterval time.Duration `yaml:"checkpoint_interval"`
	// TransactionalID replaces cdcd.<installation>.<pipeline>. Two pipelines
	// with the same id fence one another.
	TransactionalID string `yaml:"transactional_id"`
	// PartitionChange is what happens when a topic has another number of
	// partitions than before, so that keys would move: stop or follow.
	PartitionChange string `yaml:"partition_change"`
	// DeletedTopics is what happens when a topic that was written to is gone:
	// stop or recreate (then its old records are gone for good).
	DeletedTopics string `yaml:"deleted_topics"`
	// OversizeRow says what happens to a row whose record is larger than its topic
	// takes: stop, or key_only, which delivers it with the columns of its key.
	OversizeRow string `yaml:"oversize_row"`
	// OversizeTransaction says what happens to a source transaction that does not
	// end within TransactionTimeout: stop, or split, which delivers it in several
	// Kafka transactions.
	OversizeTransaction string       `yaml:"oversize_transaction"`
	CreateTopics        CreateTopics `yaml:"create_topics"`
	TLS                 TLS          `yaml:"tls"`
	SASL                SASL         `yaml:"sasl"`

	// Installation and Pipeline name the owner of the checkpoint topic. They
	// come from elsewhere in the file.
	Installation string `yaml:"-"`
	Pipeline     string `yaml:"-"`
}

// CreateTopics says how topics are made that do not exist yet.
type CreateTopics struct {
	Enabled     bool              `yaml:"enabled"`
	Partitions  int               `yaml:"partitions"`  // -1: the brokers' default
	Replication int               `yaml:"replication"` // -1: the brokers' default
	Config      map[string]string `yaml:"config"`      // topic settings: {retention.ms: "604800000"}
}

// TLS says how connections are encrypted.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CA         string `yaml:"ca"`   // file with the certificates to trust; empty: those of the system
	Cert       string `yaml:"cert"` // file with our certificate, for brokers that ask for one
	Key        string `yaml:"key"`
	ServerName string `yaml:"server_name"` // expected in the brokers' certificates; empty: their host names
}

// SASL says how we log in.
type SASL struct {
	Mechanism string `yaml:"mechanism"` // plain, scram-sha-256, scram-sha-512; empty: none
	User      string `yaml:"user"`
	Password  string `yaml:"password" secret:"true"`
}

// The deliveries and policies.
const (
	ExactlyOnce = "exactly_once"
	AtLeastOnce = "at_least_once"

	policyStop     = "stop"
	policyFollow   = "follow"
	policyRecreate = "recreate"
	policySplit    = "split"
	policyKeyOnly  = "key_only"
)

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		ClientID: "cdcd", Delivery: ExactlyOnce, Compression: LZ4,
		BatchBytes: 1000000, GroupBytes: 16 << 20, GroupDelay: 50 * time.Millisecond, InflightBytes: 32 << 20,
		TransactionTimeout: 5 * time.Minute, RequestTimeout: 10 * time.Second, DialTimeout: 5 * time.Second,
		CheckpointInterval: time.Second, PartitionChange: policyStop, DeletedTopics: policyStop,
		OversizeRow: policyStop, OversizeTransaction: policyStop,
		CreateTopics: CreateTopics{Enabled: true, Partitions: -1, Replication: -1},
	}
}

// transactionalID is the name under which this pipeline writes.
func (c *Config) transactionalID() string {
	if c.TransactionalID != "" {
		return c.TransactionalID
	}
	installation := c.Installation
	if installation == "" {
		installation = "cdcd"
	}
	return "cdcd." + installation + "." + c.Pipeline
}

func (c *Config) checkpointTopic() string { return c.transactionalID() + ".checkpoint" }

// deadline is how old a Kafka transaction may get: we end it well before the
// brokers do.
func (c *Config) deadline() time.Duration { return c.TransactionTimeout * 3 / 4 }

// KeyOnly tells that rows may leave with the columns of their key only.
func (c *Config) KeyOnly() bool { return c.OversizeRow == policyKeyOnly }

// splitAfter is how old a Kafka transaction should get that ends inside a source
// transaction, 0 for never. From then to the deadline is for brokers that slow
// down.
func (c *Config) splitAfter() time.Duration {
	if c.OversizeTransaction != policySplit {
		return 0
	}
	return c.TransactionTimeout / 2
}

func (c *Config) exactlyOnce() bool { return c.Delivery == ExactlyOnce }

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func validTopic(name string) bool { return topicName.MatchString(name) && name != "." && name != ".." }

// Validate reports every problem, each with its key first.
func (c *Config) Validate() error {
	return errors.Join(c.validateBrokers(), c.validateChoices(), c.validateSizes(), c.validateTimes(), c.CreateTopics.validate(), c.TLS.validate(), c.SASL.validate())
}

func (c *Config) validateBrokers() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New(`brokers: is missing: list at least one, like ["127.0.0.1:9092"]`))
	}
	for i, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("brokers[%d]: must be host:port, not %q", i, b))
		}
	}
	if id := c.TransactionalID; id != "" && !validTopic(id+".checkpoint") {
		errs = append(errs, fmt.Errorf("transactional_id: must be usable in a topic name (letters, digits, '.', '_', '-'), not %q", id))
	}
	return errors.Join(errs...)
}

func (c *Config) validateChoices() error {
	var errs []error
	choice := func(key, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		errs = append(errs, fmt.Errorf("%s: must be %s, not %q", key, strings.Join(allowed, " or "), value))
	}
	choice("delivery", c.Delivery, ExactlyOnce, AtLeastOnce)
	choice("partition_change", c.PartitionChange, policyStop, policyFollow)
	choice("deleted_topics", c.DeletedTopics, policyStop, policyRecreate)
	choice("oversize_row", c.OversizeRow, policyStop, policyKeyOnly)
	choice("oversize_transaction", c.OversizeTransaction, policyStop, policySplit)
	return errors.Join(errs...)
}

func (c *Config) validateSizes() error {
	var errs []error
	size := func(key string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s: must be between %d and %d, not %d", key, low, high, v))
		}
	}
	size("batch_bytes", c.BatchBytes, 16<<10, 1<<30)
	size("group_bytes", c.GroupBytes, 1, 1<<30)
	size("inflight_bytes", c.InflightBytes, 1<<20, 1<<30)
	return errors.Join(errs...)
}

func (c *Config) validateTimes() error {
	var errs []error
	span := func(key string, v, low, high time.Duration) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s: must be between %s and %s, not %s", key, low, high, v))
		}
	}
	span("group_delay", c.GroupDelay, 0, 10*time.Second)
	span("transaction_timeout", c.TransactionTimeout, 5*time.Second, 24*time.Hour)
	span("request_timeout", c.RequestTimeout, 100*time.Millisecond, 5*time.Minute)
	span("dial_timeout", c.DialTimeout, 100*time.Millisecond, 5*time.Minute)
	span("checkpoint_interval", c.CheckpointInterval, time.Millisecond, time.Minute)
	if c.GroupDelay > c.deadline()/2 {
		errs = append(errs, fmt.Errorf("group_delay: must not exceed %s, half of the time a transaction is given (3/4 of transaction_timeout)", c.deadline()/2))
	}
	if c.RequestTimeout > c.TransactionTimeout {
		errs = append(errs, fmt.Errorf("request_timeout: must not exceed transaction_timeout (%s)", c.TransactionTimeout))
	}
	return errors.Join(errs...)
}

func (c *CreateTopics) validate() error {
	var errs []error
	if c.Partitions == 0 || c.Partitions < -1 {
		errs = append(errs, fmt.Errorf("create_topics.partitions: must be a number of partitions or -1, not %d", c.Partitions))
	}
	if c.Replication == 0 || c.Replication < -1 {
		errs = append(errs, fmt.Errorf("create_topics.replication: must be a number of brokers or -1, not %d", c.Replication))
	}
	return errors.Join(errs...)
}

func (t *TLS) validate() error {
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("tls: cert and key go together")
	case !t.Enabled && (t.CA != "" || t.Cert != "" || t.ServerName != ""):
		return errors.New("tls.enabled: is false, so the other keys of tls mean nothing")
	}
	return nil
}

// config builds the TLS configuration for one broker.
func (t *TLS) config(address string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if t.ServerName != "" {
		host = t.ServerName
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errTLSFiles, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s holds no certificate", errTLSFiles, t.CA)
		}
	}
	if t.Cert != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errTLSFiles, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

func (s *SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" {
			return errors.New("sasl.mechanism: is missing: plain, scram-sha-256 or scram-sha-512")
		}
	case "plain", "scram-sha-256", "scram-sha-512":
		if s.User == "" {
			return errors.New("sasl.user: is missing")
		}
		if _, err := s.mechanism(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("sasl.mechanism: must be plain, scram-sha-256 or scram-sha-512, not %q", s.Mechanism)
	}
	return nil
}

// mechanism never shows the password: the library's errors do.
func (s *SASL) mechanism() (sasl.Mechanism, error) {
	algorithm := scram.SHA256
	switch s.Mechanism {
	case "":
		return nil, nil
	case "plain":
		return plain.Mechanism{Username: s.User, Password: s.Password}, nil
	case "scram-sha-512":
		algorithm = scram.SHA512
	}
	m, err := scram.Mechanism(algorithm, s.User, s.Password)
	if err != nil {
		return nil, errors.New("sasl.password: it or the user holds a character that SCRAM does not allow (RFC 4013), such as a control character")
	}
	return m, nil
}
