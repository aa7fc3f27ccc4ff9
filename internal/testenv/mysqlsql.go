package testenv

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// statementLimit bounds one call of Exec or Query whose context has no earlier end, dialLimit the connecting in it.
const (
	statementLimit = 60 * time.Second
	dialLimit      = 5 * time.Second
)

// Exec runs statements as root on one new connection, in order, and stops at the first error. Each string may hold several
// statements separated by semicolons; BEGIN and COMMIT may be in different strings.
func (m *MySQL) Exec(ctx context.Context, sql ...string) error {
	return m.execAs(ctx, RootUser, RootPassword, sql...)
}

// Query runs one statement as root and returns its rows as text; nil is NULL.
func (m *MySQL) Query(ctx context.Context, sql string) ([][]*string, error) {
	var rows [][]*string
	err := m.withConn(ctx, RootUser, RootPassword, func(c *client.Conn) error {
		result, err := c.Execute(sql)
		if err != nil {
			return fmt.Errorf("run %q: %w", shorten(sql), err)
		}
		defer result.Close()
		rows, err = textRows(result)
		return err
	})
	return rows, err
}

// Scalar runs one statement as root and returns the first column of its first row; NULL and no row are empty.
func (m *MySQL) Scalar(ctx context.Context, sql string) (string, error) {
	rows, err := m.Query(ctx, sql)
	if err != nil || len(rows) == 0 || len(rows[0]) == 0 || rows[0][0] == nil {
		return "", err
	}
	return *rows[0][0], nil
}

// Conn opens a connection as root for tests that need a session of their own. The caller closes it.
func (m *MySQL) Conn(ctx context.Context, database string) (*client.Conn, error) {
	return m.dial(ctx, RootUser, RootPassword, database)
}

// dial gives up after dialLimit or with ctx, also while a frozen server has accepted and says nothing.
func (m *MySQL) dial(ctx context.Context, user, password, database string) (*client.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	unwatch := func() bool { return true }
	connect := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			unwatch = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
		}
		return conn, err
	}
	c, err := client.ConnectWithDialer(ctx, "tcp", m.Addr(), user, password, database, connect, multiStatements)
	// The watch ends before ctx does, or its end would break the connection we hand out.
	if !unwatch() && err == nil {
		c.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("testenv: connect to %s at %s as %s: %w", m.name, m.Addr(), user, err)
	}
	return c, nil
}

func multiStatements(c *client.Conn) error { return c.SetCapability(mysql.CLIENT_MULTI_STATEMENTS) }

func (m *MySQL) execAs(ctx context.Context, user, password string, sql ...string) error {
	return m.withConn(ctx, user, password, func(c *client.Conn) error {
		for _, s := range sql {
			if err := execMulti(c, s); err != nil {
				return fmt.Errorf("run %q: %w", shorten(s), err)
			}
		}
		return nil
	})
}

// withConn lends a connection to use and breaks it when ctx ends.
func (m *MySQL) withConn(ctx context.Context, user, password string, use func(*client.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, statementLimit, fmt.Errorf("not done after %v", statementLimit))
	defer cancel()
	c, err := m.dial(ctx, user, password, "")
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := use(c); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return fmt.Errorf("testenv: %s: %w", m.name, err)
	}
	return nil
}

func execMulti(c *client.Conn, sql string) error {
	var failed error
	_, err := c.ExecuteMultiple(sql, func(r *mysql.Result, err error) {
		if err != nil {
			failed = err
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// textRows takes the values as the server wrote them, so that a decimal or a date is compared in its own spelling.
func textRows(r *mysql.Result) ([][]*string, error) {
	if r.Resultset == nil {
		return nil, nil
	}
	rows := make([][]*string, 0, len(r.RowDatas))
	for _, data := range r.RowDatas {
		row := make([]*string, len(r.Fields))
		for i := range row {
			value, isNull, n, err := mysql.LengthEncodedString(data)
			if err != nil {
				return nil, fmt.Errorf("read column %d of a result row: %w", i, err)
			}
			if !isNull {
				text := string(value)
				row[i] = &text
			}
			data = data[n:]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}
