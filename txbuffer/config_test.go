package txbuffer

import (
	"strings"
	"testing"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	err := Config{}.Validate()
	if err == nil {
		t.Fatal("the zero Config is valid")
	}
	for _, key := range []string{"slots", "piece_bytes", "read_back_pieces", "max_tx_bytes", "ring_bytes", "spill_dir", "max_spill_bytes", "segment_bytes"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not named in %v", key, err)
		}
	}
	// One byte less than the share, the read-back and one more piece is too
	// little: the open transaction could fill everything.
	cfg := DefaultConfig()
	cfg.RingBytes = cfg.MaxTxBytes + cfg.blockCost()*int64(1+cfg.ReadBackPieces) - 1
	if cfg.Validate() == nil {
		t.Error("a ring that can deadlock is valid")
	}
}
