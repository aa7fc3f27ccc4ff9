package mysql

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	mysqlerr "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// session is one authenticated connection on which questions are asked.
type session struct {
	*client.Conn
	source  *Source
	addr    string
	flavor  event.Flavor
	version string
	// Who the server is, and how it names our account, once the session is
	// prepared to read tables.
	identity, account string
	byMark            bool           // a commit of our own tells what shows: see watermark.go
	shown             event.Position // a place up to which everything shows, for good; none: no file
	viewing           bool           // a view is open that endView must end
	// primary is a session at the server that the stream reads, where this one is
	// at a replica of it: see readreplica.go.
	primary *session
}

// Close ends the session, and that at the primary.
func (q *session) Close() error {
	if q.primary != nil {
		_ = q.primary.Close()
		q.primary = nil
	}
	return q.Conn.Close()
}

// connect opens a session to the first of the source's hosts that answers.
func (s *Source) connect(ctx context.Context) (*session, error) {
	return s.connectAny(ctx, s.cfg.Hosts)
}

func (s *Source) connectAny(ctx context.Context, hosts []string) (*session, error) {
	var last error
	for _, addr := range hosts {
		c, err := s.connectTo(ctx, addr)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		last = err
	}
	return nil, last
}

func (s *Source) connectTo(ctx context.Context, addr string) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.ConnectTimeout, fmt.Errorf("no connection within %s", s.cfg.ConnectTimeout))
	defer cancel()
	conf, err := s.cfg.TLS.config(addr)
	if err != nil {
		return nil, connectError(opConnect, err, s.worked)
	}
	c, err := s.dial(ctx, addr, conf)
	if err != nil && s.cfg.TLS.Mode == tlsPreferred && strings.Contains(err.Error(), noTLS) {
		c, err = s.dial(ctx, addr, nil)
	}
	if err != nil {
		e := connectError(opConnect, err, s.worked)
		if named, ok := e.(*resilience.Error); ok && named.At == "" {
			_ = named.WithPlace("%s", addr)
		}
		return nil, e
	}
	q := &session{Conn: c, source: s, addr: addr, flavor: event.MySQL, version: c.GetServerVersion()}
	if strings.Contains(q.version, "MariaDB") {
		q.flavor = event.MariaDB
	}
	return q, nil
}

// dial connects and authenticates; whatever blocks in it ends with ctx.
func (s *Source) dial(ctx context.Context, addr string, conf *tls.Config) (*client.Conn, error) {
	var guard func() bool
	dialer := func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			guard = interruptOn(ctx, conn)
		}
		return conn, err
	}
	c, err := client.ConnectWithDialer(ctx, "tcp", addr, s.cfg.User, s.cfg.Password, "", dialer, func(c *client.Conn) error {
		if conf != nil {
			c.SetTLSConfig(conf)
		}
		return nil
	})
	if guard != nil && !guard() && err == nil {
		_ = c.Close()
		err = context.Cause(ctx)
	}
	return c, err
}

// interruptOn breaks every read and write of conn once ctx ends, until the
// returned function is called; that reports whether ctx had not ended before.
func interruptOn(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// rows is a small result as text; NULL is "".
type rows [][]string

// ask runs one statement within the query timeout.
func (q *session) ask(ctx context.Context, sql string) (rows, error) {
	var r rows
	err := q.run(ctx, sql, func(result *mysqlerr.Result) (err error) {
		r, err = textRows(result)
		return err
	})
	return r, err
}

// askNamed is ask with the names of the columns.
func (q *session) askNamed(ctx context.Context, sql string) ([]map[string]string, error) {
	var all []map[string]string
	err := q.run(ctx, sql, func(result *mysqlerr.Result) error {
		r, err := textRows(result)
		for _, line := range r {
			named := make(map[string]string, len(line))
			for i, f := range result.Fields {
				named[string(f.Name)] = line[i]
			}
			all = append(all, named)
		}
		return err
	})
	return all, err
}

// run runs one statement within the query timeout and has its result read.
func (q *session) run(ctx context.Context, sql string, read func(*mysqlerr.Result) error) error {
	limit := q.source.cfg.QueryTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	guard := interruptOn(ctx, q.Conn.Conn.Conn)
	result, err := q.Execute(sql)
	if !guard() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = resilience.Errorf(resilience.Transient, "source_slow", opAsk, "%w", context.Cause(ctx))
		}
		return connectError(opAsk, err, q.source.worked)
	}
	defer result.Close()
	return read(result)
}

func textRows(r *mysqlerr.Result) (rows, error) {
	if r.Resultset == nil {
		return nil, nil
	}
	all := make(rows, len(r.RowDatas))
	for i, data := range r.RowDatas {
		all[i] = make([]string, len(r.Fields))
		for j := range all[i] {
			value, _, n, err := mysqlerr.LengthEncodedString(data)
			if err != nil {
				return nil, fmt.Errorf("read column %d of a result: %w", j, err)
			}
			all[i][j] = string(value)
			data = data[n:]
		}
	}
	return all, nil
}

// row runs a statement that has exactly one row, or none (nil).
func (q *session) row(ctx context.Context, sql string) ([]string, error) {
	r, err := q.ask(ctx, sql)
	if err != nil || len(r) == 0 {
		return nil, err
	}
	return r[0], nil
}

// variable returns a global variable; known is false where the server has none
// of that name.
func (q *session) variable(ctx context.Context, name string) (value string, known bool, err error) {
	r, err := q.row(ctx, "SHOW GLOBAL VARIABLES LIKE '"+name+"'")
	if err != nil || len(r) < 2 {
		return "", false, err
	}
	return r[1], true, nil
}

func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}
