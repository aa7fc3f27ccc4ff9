// Package typematrix holds every column type that is read, with the edges of its
// values: what the log, a SELECT and each format must agree on.
//
// It owns the list and nothing else: it knows no server and no test.
package typematrix
