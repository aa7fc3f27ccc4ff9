// Package kafka delivers records to Kafka topics.
//
// It owns the encoding of record batches, the partitioner (the one of Java
// clients), the producer protocol with transactions, the checkpoint topic and
// the topics it makes. It refuses to skip or to reorder: a batch is repeated
// with the same bytes until it is written, or the line ends and the next one
// goes on from the position that the checkpoint topic holds.
//
// Read packer.go for what happens on the encoding workers, txn.go for the
// decisions, line.go for the loop that carries them out, and DESIGN.md for the
// reasons.
package kafka
