package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mysqlerr "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// connected returns the reader's connection to the server of a position.
func (r *chunkReader) connected(ctx context.Context, seen *event.Position) (*session, error) {
	if r.conn != nil {
		return r.conn, nil
	}
	q, err := r.source.connectReader(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.prepareChunks(ctx, seen); err != nil {
		_ = q.Close()
		return nil, err
	}
	r.conn = q
	return q, nil
}

// prepareChunks checks the server and sets what reading a table needs in the
// session: values as the log has them, the isolation, and an end to statements
// that take too long. Global settings that change results are undone.
func (q *session) prepareChunks(ctx context.Context, seen *event.Position) error {
	if err := q.admitReader(ctx, seen); err != nil {
		return err
	}
	own := ""
	if q.flavor == event.MariaDB {
		own = "query_cache_type = OFF, "
	}
	for _, set := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION autocommit = 1, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES', character_set_results = NULL, " +
			"sql_select_limit = 18446744073709551615, sql_big_selects = 1, " + own + q.statementLimit(q.source.cfg.QueryTimeout),
	} {
		if _, err := q.ask(ctx, set); err != nil {
			return err
		}
	}
	if err := q.leaveStatistics(ctx); err != nil {
		return err
	}
	return q.showHiddenKeys(ctx)
}

// admitReader checks that the server is the one that the stream reads, or a
// replica of it, and what tells there what a SELECT shows.
func (q *session) admitReader(ctx context.Context, seen *event.Position) error {
	mode, err := q.introduce(ctx)
	if err != nil {
		return err
	}
	if q.primary != nil {
		modeThere, err := q.primary.introduce(ctx)
		if err != nil {
			return err
		}
		if err := q.primary.isStreams(seen); err != nil {
			return err
		}
		if q.identity != q.primary.identity {
			return q.admitReplica(ctx, mode, modeThere)
		}
		_ = q.primary.Close() // the hosts lead to one server
		q.primary = nil
	}
	if err := q.isStreams(seen); err != nil || mode == "ON" {
		return err
	}
	return q.prepareWatermark(ctx, mode)
}

// introduce asks who the server is, who we are to it, and what its gtid_mode is;
// MariaDB numbers everything.
func (q *session) introduce(ctx context.Context) (mode string, err error) {
	ask := "SELECT @@global.server_uuid, @@global.gtid_mode, CURRENT_USER()"
	if q.maria() {
		ask = "SELECT CONCAT('server_id ', @@global.server_id), 'ON', CURRENT_USER()"
	}
	r, err := q.row(ctx, ask)
	if err != nil {
		return "", err
	}
	q.identity, q.account = r[0], accountOf(r[2])
	return r[1], nil
}

// isStreams requires that the server is the one that the stream reads.
func (q *session) isStreams(seen *event.Position) error {
	if seen.Server == "" || q.identity == seen.Server {
		return nil
	}
	return resilience.Errorf(resilience.Fatal, "foreign_server", opReadChunk, "%s answers at %s, the stream reads %s", q.identity, q.addr, seen.Server).
		WithHint("all hosts must lead to the server that the stream reads")
}

// statementLimit sets, as a part of SET SESSION, how long a SELECT may take; 0: any time.
func (q *session) statementLimit(d time.Duration) string {
	if q.flavor == event.MariaDB {
		return fmt.Sprintf("max_statement_time = %d", (d.Milliseconds()+999)/1000)
	}
	return fmt.Sprintf("max_execution_time = %d", d.Milliseconds())
}

// definitionTries is how often a table's definition is looked up for one chunk
// while it changes.
const definitionTries = 3

// readFunc reads rows of a table on a connection on which a view is open, and
// ends that.
type readFunc func(ctx context.Context, q *session, req *source.ChunkRequest, t *readTable) (source.Chunk, error)

// read reads rows on a connection. The view comes first: what it shows
// includes every change of the table's definition up to there.
func (r *chunkReader) read(ctx context.Context, q *session, req *source.ChunkRequest, read readFunc) (source.Chunk, error) {
	for try := 1; ; try++ {
		if err := q.view(ctx, req); err != nil {
			return source.Chunk{}, err
		}
		t, err := r.table(ctx, q, req, try > 1)
		if err != nil {
			return source.Chunk{}, err
		}
		chunk, err := read(ctx, q, req, t)
		if err == nil || !isStale(err) {
			return chunk, err
		}
		if try == definitionTries {
			return chunk, resilience.Errorf(resilience.Unclassified, codeDefinition, opReadChunk, "%d times in a row: %w", try, err)
		}
		if q, err = r.again(ctx, q, req, err); err != nil {
			return source.Chunk{}, err
		}
	}
}

// again makes the connection ready for another try after an error.
func (r *chunkReader) again(ctx context.Context, q *session, req *source.ChunkRequest, err error) (*session, error) {
	if !errors.Is(err, errStale) {
		return q, q.endView(ctx)
	}
	_ = r.Close() // rows that nobody can read are under way
	return r.connected(ctx, &req.Seen)
}

// isStale reports whether an error may come from a definition that is no
// longer the table's.
func isStale(err error) bool {
	var my *mysqlerr.MyError
	if errors.As(err, &my) {
		switch my.Code {
		case 1054, 1072, 1176, 1412: // no such column, key column or key; table changed
			return true
		}
	}
	return errors.Is(err, errStale)
}

// table returns what is known of the table, looked up when that may be old.
func (r *chunkReader) table(ctx context.Context, q *session, req *source.ChunkRequest, again bool) (*readTable, error) {
	name := tableName{req.Database, req.Table}
	t := r.known[name]
	if t != nil && !req.Fresh && !again {
		return t, nil
	}
	d, err := q.lookUp(ctx, req.Database, req.Table, r.source.definitions.get(name))
	if err != nil {
		return nil, err
	}
	if err := q.sameAtPrimary(ctx, req, d); err != nil {
		return nil, err
	}
	d = r.source.definitions.keep(name, d)
	if t == nil || t.definition != d {
		t = &readTable{definition: d, rowSize: d.rowSize}
		r.known[name] = t
	}
	return t, nil
}

// chunk reads the rows and where the log ends after them.
func (r *chunkReader) chunk(ctx context.Context, q *session, req *source.ChunkRequest, t *readTable) (source.Chunk, error) {
	query, key, err := chunkQueryFor(req, t)
	if err != nil {
		return source.Chunk{}, err
	}
	chunk := source.Chunk{Key: key, Last: req.After}
	if req.After == nil {
		if chunk.Max, err = q.largestKey(ctx, t.definition, query, key); err != nil {
			return source.Chunk{}, err
		}
	}
	began := time.Now()
	rows, err := q.scan(ctx, t, query, req.Bytes)
	chunk.Took = time.Since(began)
	if err != nil {
		return source.Chunk{}, err
	}
	if rows.last != nil {
		last, err := t.definition.cursorAt(rows.last, key)
		if err != nil {
			return source.Chunk{}, err
		}
		last.Order = t.definition.order(query.index)
		chunk.Last = last.text()
	}
	if rows.count > 0 && len(t.definition.doubts) > 0 && !rows.broken {
		if t.definition, err = r.proveLabels(ctx, q, t.definition, query, &rows); err != nil {
			return source.Chunk{}, err
		}
	}
	chunk.Table, chunk.Rows, chunk.Count, chunk.Bytes, chunk.End = t.definition.table, rows.bodies, rows.count, rows.bytes, rows.all
	for i := range chunk.Rows {
		chunk.Rows[i].Table = chunk.Table
	}
	chunk.High, err = r.high(ctx, q, req, rows.broken)
	return chunk, err
}

// scan reads the rows of a chunk.
func (q *session) scan(ctx context.Context, t *readTable, query *chunkQuery, maxBytes int) (rows chunkRows, err error) {
	if query.where != "" && !query.byKeys {
		return q.scanFiltered(ctx, t, query, maxBytes)
	}
	rows, err = q.scanBounded(ctx, t.definition, query, maxBytes)
	rows.all = rows.all && rows.count < query.limit
	if rows.count > 0 {
		t.rowSize = rows.bytes / rows.count
	}
	return rows, err
}

// scanBounded leaves the far bound out where the last row tells whether it was
// passed: the server compares every row with it, which takes a fifth of its time.
// A chunk that passes it, the table's last as a rule, is read again within it.
func (q *session) scanBounded(ctx context.Context, d *definition, query *chunkQuery, maxBytes int) (chunkRows, error) {
	if !query.oneInteger(d) {
		return q.selectRows(ctx, d, query.sql(), chunkBody, maxBytes)
	}
	open := *query
	open.until = nil
	rows, err := q.selectRows(ctx, d, open.sql(), chunkBody, maxBytes)
	if err != nil || rows.count == 0 || rows.broken {
		return rows, err
	}
	last, err := d.cursorAt(rows.last, d.indexesOf(query.index.names()))
	if err != nil || !query.passes(last.At[0][1:]) {
		return rows, err
	}
	return q.selectRows(ctx, d, query.sql(), chunkBody, maxBytes)
}

// high ends the view and returns where the log of the stream's server ends after it.
func (r *chunkReader) high(ctx context.Context, q *session, req *source.ChunkRequest, broken bool) (event.Coord, error) {
	var err error
	if broken {
		_ = r.Close()
		q, err = r.connected(ctx, &req.Seen)
	} else {
		err = q.endView(ctx)
	}
	if err != nil {
		return event.Coord{}, err
	}
	if q.primary != nil {
		return q.highAtPrimary(ctx)
	}
	file, offset, _, err := q.logEnd(ctx)
	return event.Coord{File: &event.LogFile{Name: file}, Offset: offset}, err
}

// chunkQueryFor makes the SELECT of a chunk. The key is that of the places in
// the request, so that a table keeps its key from chunk to chunk.
func chunkQueryFor(req *source.ChunkRequest, t *readTable) (*chunkQuery, []int, error) {
	d := t.definition
	after, until, err := places(req)
	if err != nil {
		return nil, nil, err
	}
	x := chunkIndex(d.indexes)
	if at := firstOf(after, until); at != nil {
		if x = indexOver(d.indexes, at.Key); x == nil {
			return nil, nil, cursorError("the table was read by the key (%s), which it no longer has", strings.Join(at.Key, ", "))
		}
		if now := d.order(x); !slices.Equal(at.Order, now) {
			return nil, nil, cursorError("the table was read in the order of (%s), its key has that of (%s)", strings.Join(at.Order, ", "), strings.Join(now, ", "))
		}
	}
	if x == nil {
		return nil, nil, resilience.Errorf(resilience.Fatal, source.CodeNoKey, opReadChunk, "the table has neither a primary key nor a unique key whose columns are whole and NOT NULL").
			WithPlace("%s.%s", req.Database, req.Table).WithHint("it goes on as a whole: a table without a key is read by one SELECT")
	}
	key := d.indexesOf(x.names())
	query := &chunkQuery{
		table: fullName(req.Database, req.Table), fields: d.fieldList(), index: x,
		where: req.Where, byKeys: req.ByKeys, limit: t.limit(req),
	}
	if after != nil {
		if query.after, err = d.literals(*after, key); err != nil {
			return nil, nil, err
		}
	}
	if until != nil {
		query.until, err = d.literals(*until, key)
	}
	return query, key, err
}

// places reads the places of a request; nil where there is none.
func places(req *source.ChunkRequest) (after, until *cursor, err error) {
	for _, p := range []struct {
		text []byte
		to   **cursor
	}{{req.After, &after}, {req.Until, &until}} {
		if p.text == nil {
			continue
		}
		c, err := parseCursor(p.text)
		if err != nil {
			return nil, nil, err
		}
		*p.to = &c
	}
	if after != nil && until != nil && !(slices.Equal(after.Key, until.Key) && slices.Equal(after.Order, until.Order)) {
		return nil, nil, cursorError("the places %s and %s are of different keys", req.After, req.Until)
	}
	return after, until, nil
}

// firstOf is the first place that there is.
func firstOf(places ...*cursor) *cursor {
	for _, c := range places {
		if c != nil {
			return c
		}
	}
	return nil
}

func (d *definition) fieldList() string {
	list := make([]string, len(d.fields))
	for i := range d.fields {
		list[i] = d.fields[i].expr
	}
	return strings.Join(list, ", ")
}

// limit is how many rows are asked for: so many that rows of the size last seen
// fill the bytes wanted. What came beyond them would have been sent for nothing.
func (t *readTable) limit(req *source.ChunkRequest) int {
	if t.rowSize <= 0 {
		return req.Rows
	}
	return max(1, min(req.Rows, req.Bytes/t.rowSize+1))
}

// largestKey is the place of the table's last row, nil when it is empty.
func (q *session) largestKey(ctx context.Context, d *definition, query *chunkQuery, key []int) ([]byte, error) {
	rows, err := q.selectRows(ctx, d, maxQuery(query.table, query.fields, query.index), 4<<10, 1)
	if err != nil || rows.count == 0 {
		return nil, err
	}
	c, err := d.cursorAt(rows.last, key)
	c.Order = d.order(query.index)
	return c.text(), err
}

// tableError gives what the server says of a table its meaning.
func (q *session) tableError(err error, database, table string) error {
	var my *mysqlerr.MyError
	if errors.As(err, &my) {
		switch my.Code {
		case 1049, 1109, 1146:
			return noTable(database, table)
		}
		if isNoRight(my) {
			return resilience.Errorf(resilience.Fatal, codePrivilege, opReadChunk, "%w", my).WithPlace("%s.%s", database, table).
				WithHint("GRANT SELECT ON %s TO %s;", fullName(database, table), q.account)
		}
	}
	var named *resilience.Error
	if errors.As(err, &named) && named.At == "" {
		_ = named.WithPlace("%s.%s", database, table)
	}
	return err
}
