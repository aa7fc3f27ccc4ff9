package debezium

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// DefaultVersion is what source.version says unless configured. Consumers take
// it as an opaque text.
const DefaultVersion = "cdcd"

// Config is what a person may choose. The zero Config is not valid; start from
// DefaultConfig.
type Config struct {
	// Prefix is Debezium's topic.prefix: source.name, and the first part of
	// schema names and of the transaction and heartbeat topics. Empty (the
	// default) takes the name of the source.
	Prefix string `yaml:"prefix"`
	// Topic is the template of the topics of rows, with {source} (the prefix),
	// {database} and {table}. Characters that Kafka does not allow become "_".
	// Default {source}.{database}.{table}.
	Topic string `yaml:"topic"`
	// Schemas puts {"schema":…,"payload":…} around keys and values. Default false.
	Schemas bool `yaml:"schemas"`
	// Tombstones sends a record with the key and a null value after each delete
	// in a table with a key. Default true.
	Tombstones bool `yaml:"tombstones"`
	// Decimal is precise (base64 of the unscaled number), string or double
	// (which loses digits). Default precise.
	Decimal string `yaml:"decimal"`
	// BigintUnsigned is long (numbers from 2^63 on turn negative, like
	// Debezium's) or precise (like Decimal). Default long.
	BigintUnsigned string `yaml:"bigint_unsigned"`
	// Binary is bytes, base64, base64_url_safe or hex. Default bytes, which is
	// base64 in JSON.
	Binary string `yaml:"binary"`
	// TinyInt is the schema type of signed TINYINT: int16 (Debezium up to 3.6)
	// or int8 (from 3.7 on). It matters with Schemas only. Default int16.
	TinyInt string `yaml:"tinyint"`
	// InvalidDates says what becomes of dates that no calendar has: null (the
	// epoch in NOT NULL columns; an error in a key, where they would share it),
	// error, or text (as the server shows them; not with Schemas). Each is
	// counted. Default null.
	InvalidDates string `yaml:"invalid_dates"`
	// TransactionMetadata fills the transaction block of rows and sends BEGIN
	// and END to the topic <prefix>.transaction. Default false.
	TransactionMetadata bool `yaml:"transaction_metadata"`
	// Heartbeat sends heartbeats of a quiet pipeline to the topic
	// __debezium-heartbeat.<prefix>. Default false.
	Heartbeat bool `yaml:"heartbeat"`
	// Truncate says what TRUNCATE and DROP of a captured table do: event (op t
	// to every partition), stop (the pipeline, by name) or skip. Default event.
	Truncate string `yaml:"truncate"`
	// Version is source.version. Default DefaultVersion.
	Version string `yaml:"version"`
}

// DefaultConfig returns the defaults: those of Debezium, and TRUNCATE delivered.
func DefaultConfig() Config {
	return Config{
		Topic: "{source}.{database}.{table}", Tombstones: true,
		Decimal: "precise", BigintUnsigned: "long", Binary: "bytes", TinyInt: "int16",
		InvalidDates: "null", Truncate: "event", Version: DefaultVersion,
	}
}

// Validate tells all that is wrong, each problem led by its key.
func (c *Config) Validate() error {
	errs := []error{
		oneOf("decimal", c.Decimal, "precise", "string", "double"),
		oneOf("bigint_unsigned", c.BigintUnsigned, "long", "precise"),
		oneOf("binary", c.Binary, "bytes", "base64", "base64_url_safe", "hex"),
		oneOf("tinyint", c.TinyInt, "int16", "int8"),
		oneOf("invalid_dates", c.InvalidDates, "null", "error", "text"),
		oneOf("truncate", c.Truncate, "event", "stop", "skip"),
		checkTopic(c.Topic),
	}
	if c.Prefix != "" && sanitize(c.Prefix) != c.Prefix {
		errs = append(errs, errors.New("prefix: only letters, digits, '.', '_' and '-' may be in it"))
	}
	if c.Schemas && c.InvalidDates == "text" {
		errs = append(errs, errors.New("invalid_dates: text does not go with schemas, which say that dates are numbers"))
	}
	return errors.Join(errs...)
}

func oneOf(key, got string, allowed ...string) error {
	if slices.Contains(allowed, got) {
		return nil
	}
	return fmt.Errorf("%s: must be one of %s", key, strings.Join(allowed, ", "))
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

func checkTopic(template string) error {
	if template == "" {
		return errors.New("topic: must not be empty")
	}
	for _, p := range placeholder.FindAllString(template, -1) {
		if p != "{source}" && p != "{database}" && p != "{table}" {
			return fmt.Errorf("topic: %s is unknown: {source}, {database} and {table} are", p)
		}
	}
	return nil
}

// sanitize replaces what may not be in the name of a topic. A character outside
// the basic plane becomes two underscores, because Java counts it as two.
func sanitize(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-':
			b.WriteRune(r)
		case r > 0xFFFF:
			b.WriteString("__")
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}

// topicOf fills the template for one table.
func (c *Config) topicOf(database, table string) string {
	return sanitize(strings.NewReplacer("{source}", c.Prefix, "{database}", database, "{table}", table).Replace(c.Topic))
}
