// Package text renders changes for people: a line for each transaction and a
// line for each row, with values as SQL shows them.
//
//	── 2026-01-01 00:00:07.123456 ── 3e11fa47-71ca-11e1-9e33-c80aa9429562:7 ── 3 rows
//	 + shop.orders  id=1  note='first'
//	 ~ shop.orders  id=1  note: 'first' → NULL
//	 - shop.orders  id=1  note=NULL
//
// It is made to be read, not parsed: long values are shortened. The keys of the
// records, which consumers compare, are whole. Characters that could steer a
// terminal are always shown by their code.
//
// Read encoder.go first, then value.go.
package text
