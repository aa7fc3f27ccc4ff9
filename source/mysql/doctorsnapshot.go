package mysql

import (
	"context"
	"errors"
	"strings"

	mysqlerr "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// maxProbed is how many tables are asked for one by one whether they may be read.
const maxProbed = 1000

// SnapshotDoctor tells what keeps the captured tables from being read in chunks,
// beside what Doctor tells: GTIDs that are off without a watermark in their place,
// and rights that are missing. Which tables have no key, Tables tells.
func (s *Source) SnapshotDoctor(ctx context.Context) []resilience.Finding {
	q, err := s.apart().connect(ctx)
	if err != nil {
		return []resilience.Finding{resilience.Found(err)}
	}
	defer q.Close()
	e := &examination{session: q, ctx: ctx}
	for _, look := range []func() error{e.snapshotGTIDs, e.snapshotRights, e.snapshotReplicas} {
		if err := look(); err != nil {
			e.found = append(e.found, resilience.Found(err))
		}
	}
	return e.found
}

func (e *examination) snapshotGTIDs() error {
	if e.maria() || len(e.source.cfg.SnapshotFrom) > 0 {
		return nil // told by snapshotReplicas
	}
	mode, _, err := e.value("gtid_mode")
	switch {
	case err != nil || mode == "ON":
		return err
	case e.source.cfg.Watermark == "":
		e.add(resilience.Problem, codeNeedsGTID, hintWatermark, "gtid_mode is %s: nothing tells what a SELECT of the tables shows", mode)
		return nil
	}
	for _, look := range []func(context.Context) error{e.watermarkIsLogged, e.ordersCommits, e.tryWatermark} {
		if err := look(e.ctx); err != nil {
			return err
		}
	}
	return nil
}

// tryWatermark asks for all that the writing of the watermark needs, and writes
// nothing.
func (e *examination) tryWatermark(ctx context.Context) error {
	who, err := e.row(ctx, "SELECT CURRENT_USER()")
	if err != nil {
		return err
	}
	e.account = accountOf(who[0])
	n := e.source.cfg.watermark()
	_, err = e.ask(ctx, "INSERT INTO "+fullName(n.database, n.table)+
		" (reader, slot, mark) SELECT '', 0, 0 FROM DUAL WHERE FALSE ON DUPLICATE KEY UPDATE mark = mark + 1")
	switch {
	case isMissing(err):
		create, grant := e.source.cfg.watermarkSQL(e.account)
		e.add(resilience.Warning, codeWatermark, strings.Join(append(create, grant), "; ")+";",
			"the watermark table %s is not there: the first read of a table makes it, if the account may", e.source.cfg.Watermark)
	case err != nil:
		return e.watermarkError(ctx, err)
	default:
		e.good(codeWatermark, "gtid_mode is not ON: %s tells what a SELECT shows", e.source.cfg.Watermark)
	}
	return nil
}

// snapshotRights tries to read each captured table, unless all may be read.
func (e *examination) snapshotRights() error {
	grants, err := e.ask(e.ctx, "SHOW GRANTS FOR CURRENT_USER")
	if err != nil {
		return err
	}
	if global, _ := privileges(grants); global["SELECT"] || global["ALL PRIVILEGES"] {
		e.good("snapshot_select", "all tables may be read")
		return nil
	}
	tables, err := e.listTables(e.ctx)
	if err != nil {
		return err
	}
	var refused list
	for _, t := range tables[:min(len(tables), maxProbed)] {
		_, err := e.ask(e.ctx, "SELECT 1 FROM "+fullName(t.Database, t.Name)+" LIMIT 0")
		var my *mysqlerr.MyError
		switch {
		case err == nil:
		case errors.As(err, &my) && isNoRight(my):
			refused.add(t.Database + "." + t.Name)
		default:
			return err
		}
	}
	who, err := e.row(e.ctx, "SELECT CURRENT_USER()")
	if err != nil {
		return err
	}
	refused.tell(e, resilience.Problem, "snapshot_select", "GRANT SELECT ON DATABASE.TABLE TO "+accountOf(who[0])+"; for each, or leave them out of the snapshot",
		"may not be read")
	if refused.n == 0 {
		e.good("snapshot_select", "the captured tables may be read; others do not show, for lack of any right to them")
	}
	return nil
}

// snapshotReplicas looks at the replicas that tables are to be read from.
func (e *examination) snapshotReplicas() error {
	if len(e.source.cfg.SnapshotFrom) == 0 {
		return nil
	}
	srv, err := e.inspect(e.ctx)
	if err != nil {
		return err
	}
	for _, addr := range e.source.cfg.SnapshotFrom {
		if err := e.snapshotReplica(addr, &event.Position{Server: srv.identity}); err != nil {
			found := resilience.Found(err)
			found.Text = addr + ": " + found.Text
			e.found = append(e.found, found)
		}
	}
	return nil
}

func (e *examination) snapshotReplica(addr string, seen *event.Position) error {
	q, err := e.source.connectTo(e.ctx, addr)
	if err != nil {
		return err
	}
	defer q.Close()
	if q.primary, err = e.source.connect(e.ctx); err != nil {
		return err
	}
	if err := q.admitReader(e.ctx, seen); err != nil {
		return err
	}
	if q.primary == nil {
		e.good("snapshot_from", "%s is the server itself", addr)
	} else {
		e.good("snapshot_from", "tables are read at %s, a replica", addr)
	}
	return nil
}

// isNoRight reports whether an error says that a right to a database, table or
// column is missing.
func isNoRight(e *mysqlerr.MyError) bool { return e.Code == 1044 || e.Code == 1142 || e.Code == 1143 }

// showHiddenKeys makes the server list the primary keys that it made itself,
// which a global setting may hide.
func (q *session) showHiddenKeys(ctx context.Context) error {
	const name = "show_gipk_in_create_table_and_information_schema"
	if q.flavor != event.MySQL {
		return nil
	}
	value, known, err := q.variable(ctx, name)
	if err != nil || !known || value == "ON" {
		return err
	}
	_, err = q.ask(ctx, "SET SESSION "+name+" = ON")
	return err
}
