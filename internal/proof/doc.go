// Package proof tries to break the promises of cdcd on real servers and judges
// by what an independent reader sees: the Java consumer with
// isolation.level=read_committed.
//
// checker.go is the judge, pure and itself tested: each planted fault (a record
// dropped, doubled, swapped, altered, a transaction torn) must be found.
// workload.go writes to the source and keeps a ledger of what was committed.
// The tests run the daemon as a separate process and strike it.
package proof
