package debezium

import "github.com/cdcd-io/cdcd/event"

// The parts of the envelope's schema that are the same for all tables, around
// the name of the connector.
const (
	sourceSchema = `{"type":"struct","fields":[` +
		`{"type":"string","optional":false,"field":"version"},` +
		`{"type":"string","optional":false,"field":"connector"},` +
		`{"type":"string","optional":false,"field":"name"},` +
		`{"type":"int64","optional":false,"field":"ts_ms"},` +
		`{"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"default":"false","field":"snapshot"},` +
		`{"type":"string","optional":false,"field":"db"},` +
		`{"type":"string","optional":true,"field":"sequence"},` +
		`{"type":"int64","optional":true,"field":"ts_us"},` +
		`{"type":"int64","optional":true,"field":"ts_ns"},` +
		`{"type":"string","optional":true,"field":"table"},` +
		`{"type":"int64","optional":false,"field":"server_id"},` +
		`{"type":"string","optional":true,"field":"gtid"},` +
		`{"type":"string","optional":false,"field":"file"},` +
		`{"type":"int64","optional":false,"field":"pos"},` +
		`{"type":"int32","optional":false,"field":"row"},` +
		`{"type":"int64","optional":true,"field":"thread"},` +
		`{"type":"string","optional":true,"field":"query"}` +
		`],"optional":false,"name":"io.debezium.connector.`
	restSchema = `.Source","version":1,"field":"source"},` +
		`{"type":"struct","fields":[` +
		`{"type":"string","optional":false,"field":"id"},` +
		`{"type":"int64","optional":false,"field":"total_order"},` +
		`{"type":"int64","optional":false,"field":"data_collection_order"}` +
		`],"optional":true,"name":"event.block","version":1,"field":"transaction"},` +
		`{"type":"string","optional":false,"field":"op"},` +
		`{"type":"int64","optional":true,"field":"ts_ms"},` +
		`{"type":"int64","optional":true,"field":"ts_us"},` +
		`{"type":"int64","optional":true,"field":"ts_ns"}],"optional":false,"name":`

	transactionKeySchema = `{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],` +
		`"optional":false,"name":"io.debezium.connector.common.TransactionMetadataKey","version":1},"payload":`
	transactionSchema = `{"schema":{"type":"struct","fields":[` +
		`{"type":"string","optional":false,"field":"status"},` +
		`{"type":"string","optional":false,"field":"id"},` +
		`{"type":"int64","optional":true,"field":"event_count"},` +
		`{"type":"array","items":{"type":"struct","fields":[` +
		`{"type":"string","optional":false,"field":"data_collection"},` +
		`{"type":"int64","optional":false,"field":"event_count"}` +
		`],"optional":true,"name":"event.collection","version":1},"optional":true,"field":"data_collections"},` +
		`{"type":"int64","optional":false,"field":"ts_ms"}` +
		`],"optional":false,"name":"io.debezium.connector.common.TransactionMetadataValue","version":1},"payload":`

	heartbeatKeySchema = `{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"serverName"}],` +
		`"optional":false,"name":"io.debezium.connector.common.ServerNameKey","version":1},"payload":`
	heartbeatSchema = `{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"ts_ms"}],` +
		`"optional":false,"name":"io.debezium.connector.common.Heartbeat","version":1},"payload":`
)

// valueSchema renders all that comes before the payload of a table's records.
func valueSchema(connector, topic string, columns []schemaField) []byte {
	b := append([]byte(nil), `{"schema":{"type":"struct","fields":[`...)
	for _, image := range []string{"before", "after"} {
		b = appendStruct(b, columns)
		b = append(b, `,"optional":true,"name":`...)
		b = append(b, quote(topic+".Value")...)
		b = append(append(append(b, `,"field":"`...), image...), `"},`...)
	}
	b = append(append(append(b, sourceSchema...), connector...), restSchema...)
	b = append(b, quote(topic+".Envelope")...)
	return append(b, `,"version":2},"payload":`...)
}

// keySchema is the same for keys.
func keySchema(topic string, columns []schemaField) []byte {
	b := appendStruct([]byte(`{"schema":`), columns)
	b = append(b, `,"optional":false,"name":`...)
	return append(append(b, quote(topic+".Key")...), `},"payload":`...)
}

type schemaField struct {
	col *event.Column
	mapping
}

// appendStruct leaves the object open behind its fields.
func appendStruct(b []byte, fields []schemaField) []byte {
	b = append(b, `{"type":"struct","fields":[`...)
	for i := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = fields[i].append(b)
	}
	return append(b, ']')
}

func (f *schemaField) append(b []byte) []byte {
	b = append(append(append(b, `{"type":"`...), f.typ...), `","optional":`...)
	if f.col.Nullable {
		b = append(b, "true"...)
	} else {
		b = append(b, "false"...)
	}
	if f.name != "" {
		b = append(append(append(b, `,"name":"`...), f.name...), `","version":1`...)
	}
	for i, p := range f.params {
		if i == 0 {
			b = append(b, `,"parameters":{`...)
		} else {
			b = append(b, ',')
		}
		b = append(append(append(b, quote(p.key)...), ':'), quote(p.value)...)
	}
	if len(f.params) > 0 {
		b = append(b, '}')
	}
	return append(append(append(b, `,"field":`...), quote(f.col.Name)...), '}')
}
