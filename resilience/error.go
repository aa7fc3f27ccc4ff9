// Package resilience says what an error means and paces what follows from it:
// the four classes, their hints, and the retry that never gives up on a
// transient one. It imports the standard library only.
package resilience

import (
	"errors"
	"fmt"
	"time"
)

// Class is what an error means to whoever must act on it.
type Class uint8

// The classes. Unclassified errors are treated like Transient a few times,
// counted, and then stop the pipeline, so that a missing case shows up.
const (
	Unclassified Class = iota
	Transient          // the world may heal: retried for ever with capped backoff
	Poison             // this record can never pass: the pipeline's policy decides
	Fatal              // waiting does not help: the pipeline stops with the hint
	Fenced             // somebody newer leads: stop at once, save nothing
)

// String is the class in lower case, as logs and metrics show it.
func (c Class) String() string {
	return [...]string{"unclassified", "transient", "poison", "fatal", "fenced"}[c]
}

// MarshalText writes String, so that logs in JSON hold words.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Error is an error with a meaning. Build it once, where the cause is known.
type Error struct {
	Class Class
	Code  string        // stable name of the condition in snake_case, for tests, metrics and docs: "binlog_purged"
	Op    string        // what was being done: "read binlog"
	At    string        // where: file and offset, table and column, topic and partition
	Hint  string        // what the operator can do next
	After time.Duration // for Transient: wait at least this long
	Err   error
}

// Error reads "op at place: cause (hint)".
func (e *Error) Error() string {
	s := e.Op
	if e.At != "" {
		s += " at " + e.At
	}
	if e.Err != nil {
		if s != "" {
			s += ": "
		}
		s += e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf builds an Error whose cause is the formatted text (%w works).
func Errorf(class Class, code, op, format string, args ...any) *Error {
	return &Error{Class: class, Code: code, Op: op, Err: fmt.Errorf(format, args...)}
}

// WithHint sets the hint and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithPlace sets the place and returns e.
func (e *Error) WithPlace(format string, args ...any) *Error {
	e.At = fmt.Sprintf(format, args...)
	return e
}

// ClassOf returns the class of the first Error in err's chain.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Unclassified
}

// CodeOf returns the code of the first Error in err's chain, or "".
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// HintOf returns the hint of the first Error in err's chain that has one, or "".
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
