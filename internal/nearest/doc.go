// Package nearest finds what somebody may have meant who mistyped a word: a key, a
// command, a table. It knows no words of its own.
package nearest
