package mysql

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

// Doctor implements resilience.Doctor: what about the server, the account and
// the tables keeps the source from working, or from keeping its promises. It
// only asks.
func (s *Source) Doctor(ctx context.Context) []resilience.Finding {
	q, err := s.connect(ctx)
	if err != nil {
		return []resilience.Finding{resilience.Found(err)}
	}
	defer q.Close()
	e := &examination{session: q, ctx: ctx}
	for _, look := range []func() error{
		e.server, e.connection, e.log, e.gtids, e.durability, e.keeping, e.serverID, e.grants, e.tables, e.columns, e.cascades,
	} {
		if err := look(); err != nil {
			e.found = append(e.found, resilience.Found(err))
			if ctx.Err() != nil {
				break
			}
		}
	}
	return e.found
}

// examination collects findings on one session.
type examination struct {
	*session
	ctx   context.Context // of this one call
	found []resilience.Finding
}

func (e *examination) add(sev resilience.Severity, code, fix, format string, args ...any) {
	e.found = append(e.found, resilience.Finding{Severity: sev, Code: code, Fix: fix, Text: fmt.Sprintf(format, args...)})
}

func (e *examination) good(code, format string, args ...any) {
	e.add(resilience.Good, code, "", format, args...)
}

func (e *examination) value(name string) (string, bool, error) { return e.variable(e.ctx, name) }

func (e *examination) server() error {
	oldest, name := "8.0.14", "MySQL"
	if e.maria() {
		oldest, name = "10.5.0", "MariaDB"
	}
	version, _, _ := strings.Cut(e.version, "-MariaDB")
	if older(version, oldest) {
		e.add(resilience.Problem, "server_version", "upgrade the server", "%s %s is older than %s, the oldest that is supported", name, version, oldest)
		return nil
	}
	e.good("server_version", "%s %s at %s", name, version, e.addr)
	return nil
}

// older compares the first three numbers of two versions.
func older(version, than string) bool {
	var a, b [3]int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &a[0], &a[1], &a[2])
	_, _ = fmt.Sscanf(than, "%d.%d.%d", &b[0], &b[1], &b[2])
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func (e *examination) connection() error {
	r, err := e.row(e.ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
	if err != nil {
		return err
	}
	if len(r) > 1 && r[1] != "" {
		e.good("tls", "the connection is encrypted (%s, tls.mode %s)", r[1], e.source.cfg.TLS.Mode)
		return nil
	}
	e.add(resilience.Warning, "tls", "set up TLS on the server and tls.mode: verify_identity", "the connection is not encrypted")
	return nil
}

// log checks the variables that decide what is in the log.
func (e *examination) log() error {
	found, err := e.logSettings(e.ctx)
	e.found = append(e.found, found...)
	return err
}

const hintGTID = "turn GTIDs on in the steps of the manual: enforce_gtid_consistency, then gtid_mode OFF_PERMISSIVE, ON_PERMISSIVE, ON"

func (e *examination) gtids() error {
	if e.maria() {
		strict, _, err := e.value("gtid_strict_mode")
		if err == nil && strict != "ON" {
			e.add(resilience.Warning, "gtid_strict_mode", e.set("gtid_strict_mode", "ON"),
				"gtid_strict_mode is %s: numbers of a domain may go backwards, which stops the pipeline", strict)
		}
		return err
	}
	mode, _, err := e.value("gtid_mode")
	if err != nil {
		return err
	}
	if mode == "ON" {
		e.good("gtid_mode", "gtid_mode is ON")
		return nil
	}
	e.add(resilience.Warning, "gtid_mode", hintGTID,
		"gtid_mode is %s: the log is read by file and offset, which does not survive a fail-over", mode)
	return nil
}

// durability looks at what a crash of the server, or its being a replica, does
// to the log.
func (e *examination) durability() error {
	sync, _, err := e.value("sync_binlog")
	if err != nil {
		return err
	}
	if sync == "1" {
		e.good("sync_binlog", "sync_binlog is 1")
	} else {
		e.add(resilience.Warning, "sync_binlog", e.set("sync_binlog", "1"),
			"sync_binlog is %s: a crash of the machine loses the end of the log, which may have been delivered already; the pipeline then stops", sync)
	}
	return e.replication()
}

func (e *examination) replication() error {
	r, err := e.ask(e.ctx, e.pick("SHOW REPLICA STATUS", "SHOW ALL SLAVES STATUS"))
	if err != nil {
		if resilience.CodeOf(err) == codePrivilege || len(r) == 0 {
			return nil // told by grants
		}
		return err
	}
	if len(r) == 0 {
		return nil
	}
	for _, name := range []string{"log_replica_updates", "log_slave_updates"} {
		got, known, err := e.value(name)
		if err != nil {
			return err
		}
		if known && got != "ON" {
			e.add(resilience.Problem, "log_replica_updates", "set "+name+"=ON in the server's option file and restart it",
				"the server is a replica and %s is %s: what it replicates is not in its log", name, got)
		}
		if known {
			return nil
		}
	}
	return nil
}

func (e *examination) pick(mysql, mariadb string) string {
	if e.maria() {
		return mariadb
	}
	return mysql
}

// keeping looks at how long the log is kept.
func (e *examination) keeping() error {
	kept, err := e.retention(e.ctx)
	switch {
	case err != nil:
		return err
	case kept == 0:
		e.good("retention", "the log is kept until somebody purges it")
	case kept < 24*time.Hour:
		e.add(resilience.Warning, "retention", e.set("binlog_expire_logs_seconds", "604800"),
			"the log is kept for %s: changes are lost when the pipeline is away for longer", resilience.Span(kept))
	default:
		e.good("retention", "the log is kept for %s", resilience.Span(kept))
	}
	return nil
}

// serverID looks for another reader with our server_id.
func (e *examination) serverID() error {
	srv, err := e.inspect(e.ctx)
	if err != nil {
		return err
	}
	ours := e.source.replica.id
	if srv.id == ours {
		e.add(resilience.Problem, codeClash, "set server_ids to a range of its own", "the server itself has our server_id %d", ours)
		return nil
	}
	r, err := e.ask(e.ctx, e.pick("SHOW REPLICAS", "SHOW SLAVE HOSTS"))
	if err != nil {
		if resilience.CodeOf(err) == codePrivilege {
			e.good("server_id", "our server_id is %d; the account may not see who else is connected", ours)
			return nil
		}
		return err
	}
	for _, replica := range r {
		if number(replica[0]) == uint64(ours) && (e.maria() || replica[len(replica)-1] != e.source.replica.uuid) {
			e.add(resilience.Warning, codeClash, "set server_ids to a range of its own, unless this is the same pipeline, running now",
				"a reader with our server_id %d is connected", ours)
			return nil
		}
	}
	e.good("server_id", "our server_id is %d, nobody else has it", ours)
	return nil
}
