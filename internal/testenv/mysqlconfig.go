package testenv

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// settings are the lines of my.cnf that differ from one server to the next.
func (m *MySQL) settings() map[string]string {
	s := map[string]string{
		"datadir":                        m.dataDir,
		"port":                           strconv.Itoa(m.port),
		"server_id":                      strconv.FormatUint(uint64(m.opts.ServerID), 10),
		"log_bin":                        "binlog",
		"binlog_format":                  "ROW",
		"binlog_row_image":               "FULL",
		"binlog_row_metadata":            "FULL",
		"log_slave_updates":              "ON",
		"sync_binlog":                    "0",
		"innodb_flush_log_at_trx_commit": "2",
		"innodb_doublewrite":             "OFF",
	}
	if m.opts.Flavor == MySQL97 {
		s["gtid_mode"] = "ON"
		s["enforce_gtid_consistency"] = "ON"
		s["log_replica_updates"] = "ON"
		delete(s, "log_slave_updates")
	}
	if m.opts.Durable {
		s["sync_binlog"] = "1"
		s["innodb_flush_log_at_trx_commit"] = "1"
		s["innodb_doublewrite"] = "ON"
	}
	for key, value := range m.opts.Config {
		s[strings.ReplaceAll(key, "-", "_")] = value
	}
	return s
}

// baseSettings make a server small, quick to start and reachable from this machine only.
func baseSettings(f Flavor, root string) map[string]string {
	s := map[string]string{
		"basedir":                     filepath.Join(root, "usr"),
		"bind_address":                "127.0.0.1",
		"socket":                      "mysql.sock", // relative to datadir: a full path may be longer than a socket's may be
		"pid_file":                    "mysql.pid",
		"skip_name_resolve":           "",
		"character_set_server":        "utf8mb4",
		"default_time_zone":           "+00:00",
		"max_connections":             "200",
		"performance_schema":          "OFF",
		"innodb_buffer_pool_size":     "64M",
		"innodb_data_file_path":       "ibdata1:5M:autoextend",
		"innodb_temp_data_file_path":  "ibtmp1:12M:autoextend",
		"innodb_autoextend_increment": "1",
		"ssl_ca":                      caFile,
		"ssl_cert":                    serverCertFile,
		"ssl_key":                     serverKeyFile,
	}
	if os.Geteuid() == 0 {
		s["user"] = "root" // the server refuses to run as root unless told so; the data is the test's own
	}
	if plugins := filepath.Join(root, "usr/lib/mysql/plugin"); exists(plugins) {
		s["plugin_dir"] = plugins
	}
	share := filepath.Join(root, "usr/share/mysql")
	if f == MariaDB118 {
		share = filepath.Join(root, "usr/share/mariadb")
		s["innodb_log_file_size"] = "16M"
	} else {
		s["innodb_redo_log_capacity"] = "32M"
		s["mysqlx"] = "OFF"
		s["secure_file_priv"] = "NULL"
	}
	s["lc_messages_dir"] = share
	s["character_sets_dir"] = filepath.Join(share, "charsets")
	return s
}

// mysqldCommand writes the option file and returns the command line that uses it and no other.
func mysqldCommand(f Flavor, root, optionFile string, settings map[string]string, args ...string) ([]string, error) {
	all := baseSettings(f, root)
	maps.Copy(all, settings)
	var b strings.Builder
	b.WriteString("[mysqld]\n")
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if all[key] == "" {
			fmt.Fprintln(&b, key)
		} else {
			fmt.Fprintf(&b, "%s=%s\n", key, all[key])
		}
	}
	if err := os.WriteFile(optionFile, []byte(b.String()), 0o644); err != nil {
		return nil, fmt.Errorf("testenv: write the option file: %w", err)
	}
	program := "usr/sbin/mysqld"
	if f == MariaDB118 {
		program = "usr/sbin/mariadbd"
	}
	return debCommand(root, program, append([]string{"--defaults-file=" + optionFile}, args...)...)
}
