// Package capture holds records of Debezium, as format/debezium/testdata/capture keeps them: one line of JSON for each Kafka
// record, sorted by topic and partition. It reads and writes such files, trims a fresh recording to what is worth keeping, and
// compares two recordings by what they say of the data.
//
// Two recordings of the same statements never are equal byte by byte: times, positions, GTIDs and thread ids differ by nature,
// and so does the partition of a record without key. Differences looks through that and through nothing else; the order of
// fields counts, because the text of keys and values is what is compared.
//
// Read record.go first, then compare.go.
package capture
