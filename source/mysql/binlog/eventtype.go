package binlog

import "strconv"

// EventType is the type code of an event.
type EventType byte

// The event types of MySQL, and from 160 on those of MariaDB. Types that no
// supported server writes are left out.
const (
	TypeQuery             EventType = 2
	TypeStop              EventType = 3
	TypeRotate            EventType = 4
	TypeIntVar            EventType = 5
	TypeRand              EventType = 13
	TypeUserVar           EventType = 14
	TypeFormat            EventType = 15
	TypeXID               EventType = 16
	TypeBeginLoadQuery    EventType = 17
	TypeExecuteLoadQuery  EventType = 18
	TypeTableMap          EventType = 19
	TypeWriteRowsV1       EventType = 23
	TypeUpdateRowsV1      EventType = 24
	TypeDeleteRowsV1      EventType = 25
	TypeIncident          EventType = 26
	TypeHeartbeat         EventType = 27
	TypeIgnorable         EventType = 28
	TypeRowsQuery         EventType = 29
	TypeWriteRows         EventType = 30
	TypeUpdateRows        EventType = 31
	TypeDeleteRows        EventType = 32
	TypeGTID              EventType = 33
	TypeAnonymousGTID     EventType = 34
	TypePreviousGTIDs     EventType = 35
	TypeTxContext         EventType = 36
	TypeViewChange        EventType = 37
	TypeXAPrepare         EventType = 38
	TypePartialUpdateRows EventType = 39
	TypePayload           EventType = 40
	TypeHeartbeatV2       EventType = 41
	TypeTaggedGTID        EventType = 42

	TypeAnnotate               EventType = 160
	TypeBinlogCheckpoint       EventType = 161
	TypeMariaDBGTID            EventType = 162
	TypeMariaDBGTIDList        EventType = 163
	TypeStartEncryption        EventType = 164
	TypeQueryCompressed        EventType = 165
	TypeWriteRowsCompressedV1  EventType = 166
	TypeUpdateRowsCompressedV1 EventType = 167
	TypeDeleteRowsCompressedV1 EventType = 168
	TypeWriteRowsCompressed    EventType = 169
	TypeUpdateRowsCompressed   EventType = 170
	TypeDeleteRowsCompressed   EventType = 171
	TypePartialRowData         EventType = 172
	firstCompressedRows                  = TypeWriteRowsCompressedV1
	lastCompressedRows                   = TypeDeleteRowsCompressed
	compressedV1ToV1                     = TypeWriteRowsCompressedV1 - TypeWriteRowsV1
	compressedToV2                       = TypeWriteRowsCompressed - TypeWriteRows
)

var typeNames = map[EventType]string{
	TypeQuery: "QUERY", TypeStop: "STOP", TypeRotate: "ROTATE", TypeIntVar: "INTVAR", TypeRand: "RAND",
	TypeUserVar: "USER_VAR", TypeFormat: "FORMAT_DESCRIPTION", TypeXID: "XID", TypeBeginLoadQuery: "BEGIN_LOAD_QUERY",
	TypeExecuteLoadQuery: "EXECUTE_LOAD_QUERY", TypeTableMap: "TABLE_MAP", TypeWriteRowsV1: "WRITE_ROWS_V1",
	TypeUpdateRowsV1: "UPDATE_ROWS_V1", TypeDeleteRowsV1: "DELETE_ROWS_V1", TypeIncident: "INCIDENT",
	TypeHeartbeat: "HEARTBEAT", TypeIgnorable: "IGNORABLE", TypeRowsQuery: "ROWS_QUERY", TypeWriteRows: "WRITE_ROWS",
	TypeUpdateRows: "UPDATE_ROWS", TypeDeleteRows: "DELETE_ROWS", TypeGTID: "GTID", TypeAnonymousGTID: "ANONYMOUS_GTID",
	TypePreviousGTIDs: "PREVIOUS_GTIDS", TypeTxContext: "TRANSACTION_CONTEXT", TypeViewChange: "VIEW_CHANGE",
	TypeXAPrepare: "XA_PREPARE", TypePartialUpdateRows: "PARTIAL_UPDATE_ROWS", TypePayload: "TRANSACTION_PAYLOAD",
	TypeHeartbeatV2: "HEARTBEAT_V2", TypeTaggedGTID: "GTID_TAGGED", TypeAnnotate: "ANNOTATE_ROWS",
	TypeBinlogCheckpoint: "BINLOG_CHECKPOINT", TypeMariaDBGTID: "GTID", TypeMariaDBGTIDList: "GTID_LIST",
	TypeStartEncryption: "START_ENCRYPTION", TypeQueryCompressed: "QUERY_COMPRESSED",
	TypeWriteRowsCompressedV1: "WRITE_ROWS_COMPRESSED_V1", TypeUpdateRowsCompressedV1: "UPDATE_ROWS_COMPRESSED_V1",
	TypeDeleteRowsCompressedV1: "DELETE_ROWS_COMPRESSED_V1", TypeWriteRowsCompressed: "WRITE_ROWS_COMPRESSED",
	TypeUpdateRowsCompressed: "UPDATE_ROWS_COMPRESSED", TypeDeleteRowsCompressed: "DELETE_ROWS_COMPRESSED",
	TypePartialRowData: "PARTIAL_ROW_DATA",
}

// String is the server's name of the type, or "type N".
func (t EventType) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return "type " + strconv.Itoa(int(t))
}

// IsRows reports whether events of this type carry rows, compressed or not.
func (t EventType) IsRows() bool {
	return t >= TypeWriteRowsV1 && t <= TypeDeleteRowsV1 || t >= TypeWriteRows && t <= TypeDeleteRows ||
		t == TypePartialUpdateRows || t.IsCompressedRows()
}

// IsCompressedRows reports whether events of this type carry rows that MariaDB compressed.
func (t EventType) IsCompressedRows() bool {
	return t >= firstCompressedRows && t <= lastCompressedRows
}
