package mysql

import (
	"context"

	"github.com/cdcd-io/cdcd/source"
)

// StatusOf asks for status variables of the session of a reader that has read.
func StatusOf(ctx context.Context, r source.ChunkReader, like string) (map[string]uint64, error) {
	lines, err := r.(*chunkReader).conn.ask(ctx, "SHOW SESSION STATUS LIKE '"+like+"'")
	status := map[string]uint64{}
	for _, line := range lines {
		status[line[0]] = number(line[1])
	}
	return status, err
}
