package source

import (
	"context"
	"time"
)

// HealthChecker is the optional interface of a Source that tells how its servers
// bear the load. OpenHealth may be called from any goroutine.
type HealthChecker interface {
	// OpenHealth returns a probe with connections of its own, for one goroutine.
	// It connects when it is first asked.
	OpenHealth() HealthProbe
}

// HealthProbe asks servers how they are, each question within ctx. After an error,
// and after Close, it may be used again and connects anew.
type HealthProbe interface {
	// ReplicaLag is how far the replica at an address, host:port, is behind. That
	// is an error where its replication has stopped or does not say.
	ReplicaLag(ctx context.Context, addr string) (time.Duration, error)
	// Number is the one number that a query gives at the server where tables are
	// read; NULL, or anything else, is an error.
	Number(ctx context.Context, query string) (float64, error)
	Close() error
}
