package debezium

import (
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"go.yaml.in/yaml/v3"
)

func TestDefaultsAreValid(t *testing.T) {
	cfg := DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	cfg := Config{Prefix: "a b", Topic: "{schema}.{table}", Schemas: true, InvalidDates: "text", Decimal: "exact"}
	err := cfg.Validate()
	for _, key := range []string{"prefix:", "topic: {schema}", "invalid_dates:", "decimal:", "bigint_unsigned:", "binary:", "tinyint:", "truncate:"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("no %q in %v", key, err)
		}
	}
	cfg = DefaultConfig()
	cfg.Topic = ""
	if err := cfg.Validate(); err == nil {
		t.Error("an empty topic passed")
	}
}

func TestKeysOfTheConfiguration(t *testing.T) {
	cfg := DefaultConfig()
	text := "{prefix: p, topic: t, schemas: true, tombstones: false, decimal: string, bigint_unsigned: precise, binary: hex, tinyint: int8, " +
		"invalid_dates: error, transaction_metadata: true, heartbeat: true, truncate: stop, version: v}"
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&cfg); err != nil {
		t.Fatal(err)
	}
	want := Config{"p", "t", true, false, "string", "precise", "hex", "int8", "error", true, true, "stop", "v"}
	if cfg != want {
		t.Errorf("got %+v", cfg)
	}
}

func TestTopics(t *testing.T) {
	for _, c := range []struct{ template, database, table, want string }{
		{"{source}.{database}.{table}", "shop", "orders", "prod.shop.orders"},
		{"{source}.{database}.{table}", "my shop", "größe", "prod.my_shop.gr__e"},
		{"{table}", "shop", "a😀b", "a__b"},
		{"all-{source}", "shop", "orders", "all-prod"},
	} {
		e := configured(t, func(cfg *Config) { cfg.Topic = c.template })
		table := eventtest.Table(c.database, c.table, nil, eventtest.Col("a", event.TypeInt))
		out := encode(t, e, eventtest.Piece(eventtest.Tx(1), eventtest.Insert(table, eventtest.Int(1))))
		if got := out.records[0].Topic; got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestFlavorNamesTheConnector(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Schemas, cfg.Prefix = true, "other"
	e := New(cfg, Deps{Source: "prod", Flavor: event.MariaDB, Routes: new(format.Routes)})
	out := encode(t, e, eventtest.Piece(eventtest.Tx(1), eventtest.Insert(eventtest.Orders(), order(1, "a")...)))
	v := text(out.records[0].Value)
	for _, want := range []string{`"connector":"mariadb","name":"other"`, `"io.debezium.connector.mariadb.Source"`, `"other.shop.orders.Envelope"`} {
		if !strings.Contains(v, want) {
			t.Errorf("no %s in %s", want, v)
		}
	}
}

func TestHeartbeatIsOptional(t *testing.T) {
	out := new(collector)
	if err := configured(t, plain).Heartbeat(1, out); err != nil || len(out.records) != 0 {
		t.Errorf("got %v, %v", out.records, err)
	}
}
