package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mysqlTemplate returns where the programs are and a data directory with the accounts in it, made once per version: to make
// one takes seconds, to copy it a fraction of one.
func (e *Env) mysqlTemplate(ctx context.Context, f Flavor) (root, template string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("not done after %v", installLimit))
	defer cancel()
	if f == MariaDB118 {
		root, err = e.cache.mariadbRoot(ctx)
	} else {
		root, err = e.cache.mysqlRoot(ctx)
	}
	if err != nil {
		return "", "", err
	}
	dir, err := e.cache.entry(ctx, filepath.Base(root)+"-data-3", func(ctx context.Context, dir string) error {
		return e.initDataDir(ctx, f, root, dir)
	})
	return root, filepath.Join(dir, "data"), err
}

// initDataDir makes dir/data: system tables, then a short first run to create the accounts.
func (e *Env) initDataDir(ctx context.Context, f Flavor, root, dir string) error {
	data := filepath.Join(dir, "data")
	if err := makeSystemTables(ctx, f, root, dir, data); err != nil {
		return err
	}
	if err := makeCertificates(data); err != nil {
		return err
	}
	if err := e.createAccounts(ctx, f, root, dir, data); err != nil {
		return err
	}
	// Every server must be somebody of its own: the identity is made anew at the next start.
	if err := os.Remove(filepath.Join(data, "auto.cnf")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // MariaDB has none
	}
	return nil
}

func makeSystemTables(ctx context.Context, f Flavor, root, dir, data string) error {
	settings := map[string]string{"datadir": data}
	if f == MySQL97 {
		argv, err := mysqldCommand(f, root, filepath.Join(dir, "init.cnf"), settings, "--initialize-insecure")
		if err != nil {
			return err
		}
		return run(ctx, dir, nil, argv...)
	}
	script, err := mariadbBootstrap(root)
	if err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	argv, err := mysqldCommand(f, root, filepath.Join(dir, "init.cnf"), settings, "--bootstrap", "--enforce-storage-engine=",
		"--max-allowed-packet=8M", "--net-buffer-length=16K")
	if err != nil {
		return err
	}
	return run(ctx, dir, bytes.NewReader(script), argv...)
}

// mariadbBootstrap is what mariadb-install-db feeds to the server, without the help tables and the lines that ask for the
// machine's name; the script itself would look for its programs outside our root.
func mariadbBootstrap(root string) ([]byte, error) {
	script := []byte("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n")
	for _, name := range []string{"mariadb_system_tables", "mariadb_performance_tables", "mariadb_system_tables_data",
		"maria_add_gis_sp_bootstrap", "mariadb_sys_schema"} {
		text, err := os.ReadFile(filepath.Join(root, "usr/share/mariadb", name+".sql"))
		if err != nil {
			return nil, fmt.Errorf("read MariaDB's system tables: %w", err)
		}
		for line := range bytes.Lines(text) {
			if !bytes.Contains(line, []byte("@current_hostname")) {
				script = append(script, line...)
			}
		}
	}
	return script, nil
}

// createAccounts runs the new server once, alone, without a binary log.
func (e *Env) createAccounts(ctx context.Context, f Flavor, root, dir, data string) error {
	port, err := e.ports.reserve()
	if err != nil {
		return err
	}
	m := &MySQL{opts: MySQLOptions{Flavor: f}, root: root, port: port, dataDir: data}
	setup := func(ctx context.Context) error {
		return m.execAs(ctx, RootUser, "", accountStatements(f))
	}
	m.server = server{name: "first run of " + f.String(), dir: dir, logPath: filepath.Join(dir, "first-run.log"), env: e, ready: setup}
	// For once names are resolved: the only account there is yet is root@localhost.
	m.argv, err = mysqldCommand(f, root, filepath.Join(dir, "first-run.cnf"), map[string]string{
		"datadir": data, "port": strconv.Itoa(port), "skip_log_bin": "", "skip_name_resolve": "OFF",
	})
	if err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return errors.Join(err, m.close())
	}
	return m.Stop(ctx)
}

// accountStatements may be repeated: the first attempt that gets through wins.
func accountStatements(f Flavor) string {
	replication := "REPLICATION SLAVE, REPLICATION CLIENT, SELECT"
	if f == MariaDB118 {
		replication = "REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR, SELECT"
	}
	statements := []string{
		fmt.Sprintf("CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY '%s'", RootUser, RootPassword),
		fmt.Sprintf("GRANT ALL PRIVILEGES ON *.* TO '%s'@'%%' WITH GRANT OPTION", RootUser),
		fmt.Sprintf("CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY '%s'", ReaderUser, ReaderPassword),
		fmt.Sprintf("GRANT %s ON *.* TO '%s'@'%%'", replication, ReaderUser),
	}
	if f == MariaDB118 {
		// MariaDB is born with an account without password for this very address, which would win over the one from anywhere.
		statements = append(statements, fmt.Sprintf("DROP USER IF EXISTS '%s'@'127.0.0.1', '%s'@'::1'", RootUser, RootUser))
	}
	return strings.Join(statements, ";")
}
