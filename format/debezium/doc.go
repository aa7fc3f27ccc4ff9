// Package debezium renders transactions as Debezium JSON, byte for byte as the
// JSON converter of Kafka Connect writes it where that is right, so that
// consumers of Debezium need not change.
//
// It owns the envelope, the record key, tombstones, the split of key-changing
// updates, BEGIN and END records, heartbeats and the choice of topics. It
// refuses to know bytes of a server: it reads [event.Value]s only.
//
// A table version is compiled once into a program: the fields in order with
// their names already rendered, and the whole schema text. What is the same for
// all rows of an event is rendered once an event. A row is then copies of such
// fragments and its own values, appended to buffers that the encoder keeps:
// nothing is allocated.
//
// README.md lists the settings, the types, and where the output differs from
// Debezium's on purpose. Read encoder.go first, then row.go, then program.go
// and value.go.
package debezium
