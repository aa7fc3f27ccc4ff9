package testenv

import (
	"context"
	"fmt"
)

// Replicate makes the server a replica of another one, which must have another ServerID and hold all of its log since its
// beginning. Use Exec for what else belongs to replication: STOP REPLICA, read_only, delays.
func (m *MySQL) Replicate(ctx context.Context, from *MySQL) error {
	format := "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=%d, SOURCE_USER='%s', SOURCE_PASSWORD='%s', " +
		"SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_RETRY_COUNT=1000, SOURCE_CONNECT_RETRY=1; START REPLICA"
	if m.opts.Flavor == MariaDB118 {
		format = "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='%s', MASTER_PASSWORD='%s', " +
			"MASTER_USE_GTID=slave_pos, MASTER_SSL_VERIFY_SERVER_CERT=0, MASTER_CONNECT_RETRY=1; START SLAVE"
	}
	return m.Exec(ctx, fmt.Sprintf(format, from.port, RootUser, RootPassword))
}
