package debezium

import (
	"testing"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
)

func newEncoder(cfg Config) *Encoder {
	return New(cfg, Deps{Source: "prod", Flavor: event.MySQL, Routes: new(format.Routes), Stats: new(Stats)})
}

// configured returns an encoder with the defaults changed by set.
func configured(t *testing.T, set func(*Config)) *Encoder {
	t.Helper()
	cfg := DefaultConfig()
	set(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return newEncoder(cfg)
}

// encode returns the records of the pieces.
func encode(t *testing.T, e *Encoder, pieces ...*event.Piece) *collector {
	t.Helper()
	out := new(collector)
	for _, p := range pieces {
		if err := e.Encode(p, out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
