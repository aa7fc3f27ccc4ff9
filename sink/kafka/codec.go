package kafka

import (
	"encoding/json"

	"github.com/cdcd-io/cdcd/checkpoint"
)

func encodeCheckpoint(c checkpoint.Checkpoint) ([]byte, error) { return json.Marshal(c) }

func decodeCheckpoint(b []byte) (c checkpoint.Checkpoint, err error) {
	err = json.Unmarshal(b, &c)
	return c, err
}

func cloneCheckpoint(c checkpoint.Checkpoint) checkpoint.Checkpoint {
	c.Position = c.Position.Clone()
	return c
}
