package testenv

import (
	"context"
	"fmt"
	"path/filepath"
)

// Flavor is a server and its version. The zero value is MySQL97.
type Flavor int

const (
	// MySQL97 is MySQL 9.7, or what has followed it in Debian since.
	MySQL97 Flavor = iota
	// MariaDB118 is MariaDB 11.8.
	MariaDB118
)

// Flavors lists every server a test of the source has to pass on.
var Flavors = []Flavor{MySQL97, MariaDB118}

// String is the name the configuration and go-mysql use: "mysql" or "mariadb".
func (f Flavor) String() string {
	if f == MariaDB118 {
		return "mariadb"
	}
	return "mysql"
}

// Accounts of every server. Both may connect from anywhere.
const (
	RootUser       = "root"
	RootPassword   = "root"
	ReaderUser     = "cdcd" // has the grants a change reader needs, and no more
	ReaderPassword = "cdcd-secret"
)

// MySQLOptions says how a server differs from the default: binary log in ROW format with full images and full metadata,
// GTIDs on, utf8mb4, UTC.
type MySQLOptions struct {
	Flavor Flavor
	// ServerID defaults to 1.
	ServerID uint32
	// Durable makes every commit reach the disk. Without it a commit survives Kill (the operating system has it) but the
	// server does not wait for the disk.
	Durable bool
	// Config adds or overrides lines of my.cnf; an empty value is a line with the name only, such as skip_log_bin.
	Config map[string]string
}

// MySQL is a running MySQL or MariaDB server.
type MySQL struct {
	server
	opts    MySQLOptions
	root    string
	port    int
	dataDir string
}

// MySQL installs the server if need be, starts one with an empty data directory and returns when it answers.
func (e *Env) MySQL(ctx context.Context, o MySQLOptions) (*MySQL, error) {
	if o.ServerID == 0 {
		o.ServerID = 1
	}
	root, template, err := e.mysqlTemplate(ctx, o.Flavor)
	if err != nil {
		return nil, err
	}
	m, err := e.newMySQL(ctx, o, root, template)
	if err != nil {
		return nil, err
	}
	if err := e.onClose(m.close); err != nil {
		return nil, err
	}
	return m, m.start(ctx)
}

// newMySQL prepares everything but the process.
func (e *Env) newMySQL(ctx context.Context, o MySQLOptions, root, template string) (*MySQL, error) {
	name, dir, err := e.newDir(o.Flavor.String())
	if err != nil {
		return nil, err
	}
	port, err := e.ports.reserve()
	if err != nil {
		return nil, err
	}
	m := &MySQL{opts: o, root: root, port: port, dataDir: filepath.Join(dir, "data")}
	m.server = server{name: name, dir: dir, logPath: filepath.Join(dir, "server.log"), env: e, ready: m.answers}
	// Holes stay holes: most of an empty data directory is zeros.
	if err := run(ctx, dir, nil, "cp", "-a", "--reflink=auto", "--sparse=always", template, m.dataDir); err != nil {
		return nil, fmt.Errorf("testenv: copy the prepared data directory of %s: %w", name, err)
	}
	m.argv, err = mysqldCommand(o.Flavor, root, filepath.Join(dir, "my.cnf"), m.settings())
	return m, err
}

// Addr is host:port for clients.
func (m *MySQL) Addr() string { return loopback(m.port) }

// Port is the port on 127.0.0.1.
func (m *MySQL) Port() int { return m.port }

// Flavor says which server this is.
func (m *MySQL) Flavor() Flavor { return m.opts.Flavor }

// DataDir holds the binary logs and everything else the server keeps.
func (m *MySQL) DataDir() string { return m.dataDir }

// Command is the command line of a client program of the same version, such as mysqlbinlog or mariadb-dump.
func (m *MySQL) Command(program string, args ...string) ([]string, error) {
	return debCommand(m.root, "usr/bin/"+program, args...)
}

func (m *MySQL) answers(ctx context.Context) error {
	_, err := m.Query(ctx, "SELECT 1")
	return err
}
