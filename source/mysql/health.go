package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// healthStatement is what the server gives a statement that asks how it is.
const healthStatement = 2 * time.Second

var _ source.HealthChecker = (*Source)(nil)

// OpenHealth implements source.HealthChecker.
func (s *Source) OpenHealth() source.HealthProbe {
	return &healthProbe{source: s.apart(), open: map[string]*session{}}
}

// healthProbe implements source.HealthProbe.
type healthProbe struct {
	source *Source
	open   map[string]*session // by address; "" for the server that tables are read at
}

// Close implements source.HealthProbe.
func (p *healthProbe) Close() error {
	var errs []error
	for addr, q := range p.open {
		delete(p.open, addr)
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

// ReplicaLag implements source.HealthProbe.
func (p *healthProbe) ReplicaLag(ctx context.Context, addr string) (lag time.Duration, err error) {
	err = p.at(ctx, addr, func(q *session) error {
		channels, err := q.replication(ctx)
		if err == nil {
			lag, err = replicaLag(channels)
		}
		return err
	})
	return lag, err
}

// Number implements source.HealthProbe.
func (p *healthProbe) Number(ctx context.Context, query string) (x float64, err error) {
	err = p.at(ctx, "", func(q *session) error {
		r, err := q.ask(ctx, query)
		if err == nil {
			x, err = oneNumber(r)
		}
		return err
	})
	return x, err
}

// at asks the server at an address. A connection does not outlive an error:
// whatever was still to come on it is not the next answer.
func (p *healthProbe) at(ctx context.Context, addr string, ask func(*session) error) error {
	q := p.open[addr]
	if q == nil {
		var err error
		if q, err = p.connect(ctx, addr); err != nil {
			return err
		}
		p.open[addr] = q
	}
	err := ask(q)
	if err != nil {
		delete(p.open, addr)
		_ = q.Close()
	}
	return err
}

func (p *healthProbe) connect(ctx context.Context, addr string) (*session, error) {
	hosts := []string{addr}
	if addr == "" {
		if hosts = p.source.cfg.SnapshotFrom; len(hosts) == 0 {
			hosts = p.source.cfg.Hosts
		}
	}
	q, err := p.source.connectAny(ctx, hosts)
	if err != nil {
		return nil, err
	}
	limit := fmt.Sprintf("SET SESSION max_execution_time = %d", healthStatement.Milliseconds())
	if q.maria() {
		limit = fmt.Sprintf("SET SESSION max_statement_time = %g", healthStatement.Seconds())
	}
	if _, err := q.ask(ctx, limit); err != nil {
		_ = q.Close()
		return nil, err
	}
	return q, nil
}

// replicaLag is that of the channel that is furthest behind. A channel says NULL
// when it does not know, above all when it has stopped.
func replicaLag(channels []map[string]string) (time.Duration, error) {
	if len(channels) == 0 {
		return 0, resilience.Errorf(resilience.Transient, "health_no_replica", "", "it is no replica")
	}
	var lag uint64
	for _, c := range channels {
		io, applier := either(c, "Replica_IO_Running", "Slave_IO_Running"), either(c, "Replica_SQL_Running", "Slave_SQL_Running")
		seconds, err := strconv.ParseUint(either(c, "Seconds_Behind_Source", "Seconds_Behind_Master"), 10, 32)
		if err != nil || io != "Yes" || applier != "Yes" {
			return 0, stopped(c, io, applier)
		}
		lag = max(lag, seconds)
	}
	return time.Duration(lag) * time.Second, nil
}

// stopped tells what a channel says of itself that does not run.
func stopped(c map[string]string, io, applier string) error {
	why := ""
	for _, name := range []string{"Last_IO_Error", "Last_SQL_Error"} {
		if c[name] != "" {
			why = ": " + c[name]
		}
	}
	return resilience.Errorf(resilience.Transient, "health_replica_stopped", "", "its replication does not run (receiver %s, applier %s)%s", io, applier, why)
}

// either is the value by the name of today, or by that of older releases and MariaDB.
func either(c map[string]string, name, older string) string {
	if v, ok := c[name]; ok {
		return v
	}
	return c[older]
}

// oneNumber is the answer to a query of the user's.
func oneNumber(r rows) (float64, error) {
	bad := func(what string, args ...any) error {
		return resilience.Errorf(resilience.Transient, "health_no_number", "", "the answer must be one number, and is "+what, args...)
	}
	if len(r) != 1 || len(r[0]) != 1 {
		columns := 0
		if len(r) > 0 {
			columns = len(r[0])
		}
		return 0, bad("%d rows of %d columns", len(r), columns)
	}
	if r[0][0] == "" {
		return 0, bad("NULL or empty")
	}
	x, err := strconv.ParseFloat(r[0][0], 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, bad("%.50q", r[0][0])
	}
	return x, nil
}
