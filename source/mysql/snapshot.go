package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/source"
)

// What is done to read tables, and the codes of its errors.
const (
	opReadChunk        = "read table"
	codeNeedsGTID      = "snapshot_needs_gtid"
	codeCondition      = "snapshot_condition"
	codeDefinition     = "snapshot_definition"
	codeChunkMalformed = "malformed_row"
)

var _ source.Snapshotter = (*Source)(nil)

// tablesQuery and uniqueQuery list all tables at once.
const (
	tablesQuery = `SELECT TABLE_SCHEMA, TABLE_NAME, IFNULL(TABLE_ROWS, 0), IFNULL(DATA_LENGTH, 0)
	FROM information_schema.TABLES WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND %s`
	uniqueQuery = `SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, IFNULL(COLUMN_NAME, ''), IFNULL(COLLATION, ''), IFNULL(SUB_PART, ''), NULLABLE, INDEX_TYPE, %s
	FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND %s ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`
)

// Tables implements source.Snapshotter.
func (s *Source) Tables(ctx context.Context) ([]source.TableInfo, error) {
	q, err := s.apart().connect(ctx)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	return q.listTables(ctx)
}

func (q *session) listTables(ctx context.Context) ([]source.TableInfo, error) {
	if err := q.showHiddenKeys(ctx); err != nil {
		return nil, err
	}
	if err := q.leaveStatistics(ctx); err != nil {
		return nil, err
	}
	tables, err := q.ask(ctx, fmt.Sprintf(tablesQuery, q.databases()))
	if err != nil {
		return nil, err
	}
	unique, err := q.uniqueIndexes(ctx)
	if err != nil {
		return nil, err
	}
	var list []source.TableInfo
	for _, t := range tables {
		if !q.source.filter.captured(t[0], t[1]) {
			continue
		}
		info := source.TableInfo{Database: t[0], Name: t[1], Rows: number(t[2]), Bytes: number(t[3])}
		if x := chunkIndex(unique[tableName{t[0], t[1]}]); x != nil {
			info.Key = x.names()
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b source.TableInfo) int {
		if c := strings.Compare(a.Database, b.Database); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list, nil
}

// filterText is what Filter renders.
type filterText struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// Filter implements source.Snapshotter.
func (s *Source) Filter() string {
	text, err := json.Marshal(filterText{s.filter.include, s.filter.exclude})
	if err != nil {
		panic(err) // of lists of texts
	}
	return string(text)
}

// Matches implements source.Snapshotter.
func (s *Source) Matches(text, database, table string) bool {
	var t filterText
	if json.Unmarshal([]byte(text), &t) != nil {
		return false
	}
	var c Config
	c.Tables.Include, c.Tables.Exclude = t.Include, t.Exclude
	return newFilter(&c).captured(database, table)
}

// databases is the condition that leaves the server's own databases out of a
// list of tables, unless one of them is captured.
func (q *session) databases() string {
	for name := range q.source.filter.system {
		if isSystem(name) {
			return "TRUE"
		}
	}
	return "TABLE_SCHEMA NOT IN " + systemDatabases
}

// leaveStatistics has MySQL take the sizes of tables from where they are: to
// answer from its cache it locks, and writes, tables of its dictionary.
func (q *session) leaveStatistics(ctx context.Context) error {
	if q.flavor == event.MariaDB {
		return nil
	}
	_, err := q.ask(ctx, "SET SESSION information_schema_stats_expiry = 0")
	return err
}

// uniqueIndexes lists the unique indexes of all captured tables.
func (q *session) uniqueIndexes(ctx context.Context) (map[tableName][]tableIndex, error) {
	hidden := "IF(IS_VISIBLE = 'YES', '', 'YES')"
	if q.flavor == event.MariaDB {
		hidden = "IF(IGNORED = 'YES', 'YES', '')"
	}
	r, err := q.ask(ctx, fmt.Sprintf(uniqueQuery, hidden, q.databases()))
	if err != nil {
		return nil, err
	}
	unordered, err := q.unorderedColumns(ctx)
	if err != nil {
		return nil, err
	}
	all := map[tableName][]tableIndex{}
	for _, x := range r {
		name := tableName{x[0], x[1]}
		if !q.source.filter.captured(x[0], x[1]) {
			continue
		}
		part := indexPart{index: x[2], column: x[3], order: x[4], prefix: x[5], nullable: x[6], kind: x[7], hidden: x[8] != ""}
		all[name] = appendPart(all[name], part, func(column string) bool {
			return q.source.filter.excluded(x[0], x[1], column) || unordered[[3]string{x[0], x[1], column}]
		})
	}
	return all, nil
}

const labelledQuery = `SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE
	FROM information_schema.COLUMNS WHERE DATA_TYPE IN ('enum', 'set') AND COLUMN_KEY <> '' AND %s`

// unorderedColumns are the columns in keys that no chunk can be cut by, by
// database, table and name.
func (q *session) unorderedColumns(ctx context.Context) (map[[3]string]bool, error) {
	r, err := q.ask(ctx, fmt.Sprintf(labelledQuery, q.databases()))
	set := map[[3]string]bool{}
	for _, c := range r {
		if unorderedType(c[3]) {
			set[[3]string{c[0], c[1], c[2]}] = true
		}
	}
	return set, err
}

// apart returns a source that shares nothing that changes with s, so that it
// may be used beside the stream of s.
func (s *Source) apart() *Source {
	return &Source{cfg: s.cfg, replica: s.replica, filter: newFilter(&s.cfg), definitions: s.definitions}
}

// OpenReader implements source.Snapshotter.
func (s *Source) OpenReader(context.Context) (source.ChunkReader, error) {
	return &chunkReader{source: s.apart(), known: map[tableName]*readTable{}}, nil
}

// definitions are the definitions last read of each table, shared by all
// readers so that they hand on the same version.
type definitions struct {
	mu     sync.Mutex
	byName map[tableName]*definition
}

func newDefinitions() *definitions { return &definitions{byName: map[tableName]*definition{}} }

func (d *definitions) get(name tableName) *definition {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byName[name]
}

// keep stores a definition and returns it, or the equal one that was stored.
func (d *definitions) keep(name tableName, def *definition) *definition {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last := d.byName[name]; last != nil && last.told == def.told {
		return last
	}
	d.byName[name] = def
	return def
}

// learn adds proven labels to a definition that was got from here, and returns
// it; what other readers have learned of the same definition is in it too.
func (d *definitions) learn(def *definition, proven map[doubt]string) *definition {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := nameOf(def.table)
	if last := d.byName[name]; last != nil && last.told == def.told {
		def = last
	}
	if slices.ContainsFunc(def.doubts, func(x doubt) bool { _, ok := proven[x]; return ok }) {
		def = def.withLabels(proven)
		d.byName[name] = def
	}
	return def
}

// chunkReader implements source.ChunkReader.
type chunkReader struct {
	source *Source
	conn   *session // nil until it is needed, and after an error
	known  map[tableName]*readTable
}

// readTable is what a reader knows of a table from its last read.
type readTable struct {
	definition *definition
	rowSize    int    // bytes of a row in the last chunk
	condition  string // that the server took as one
	step       int    // rows that a condition is tried on by one statement
}

// Close implements source.ChunkReader.
func (r *chunkReader) Close() error {
	if r.conn == nil {
		return nil
	}
	q := r.conn
	r.conn = nil
	return q.Close()
}

// Running implements source.ChunkReader.
func (r *chunkReader) Running(ctx context.Context) (int, error) {
	if r.conn == nil {
		return 0, nil // a read connects, and knows which server it must be
	}
	row, err := r.conn.row(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_running'")
	if err == nil && len(row) == 2 {
		return int(number(row[1])), nil
	}
	_ = r.Close()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return 0, connectError("ask how busy the server is", err, r.source.worked)
}

// Read implements source.ChunkReader.
func (r *chunkReader) Read(ctx context.Context, req source.ChunkRequest) (source.Chunk, error) {
	return r.attempt(ctx, &req, r.chunk)
}

// attempt reads on a connection, which does not outlive an error.
func (r *chunkReader) attempt(ctx context.Context, req *source.ChunkRequest, read readFunc) (source.Chunk, error) {
	q, err := r.connected(ctx, &req.Seen)
	if err != nil {
		return source.Chunk{}, err
	}
	chunk, err := r.read(ctx, q, req, read)
	if err == nil {
		r.source.worked = true
		return chunk, nil
	}
	if ctx.Err() == nil {
		err = q.tableError(connectError(opReadChunk, err, r.source.worked), req.Database, req.Table)
		err = q.atPrimary(ctx, req, err)
	}
	_ = r.Close() // and with it what the server still does or holds for us
	if ctx.Err() != nil {
		return source.Chunk{}, context.Cause(ctx)
	}
	return source.Chunk{}, err
}
