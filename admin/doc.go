// Package admin shows a running daemon to people and machines, and takes the
// commands that are allowed: metrics, health, readiness, and the JSON API under
// /api/v1.
//
// It has two doors. The Unix socket (mode 0600: its file permissions are the
// authentication) takes commands; TCP is optional and read-only. [Client] is
// the other end of the socket, for the command line.
//
// It refuses to know how a pipeline works: it asks a [Pipeline] for its status,
// pauses and resumes it. Every request is bounded in bytes and time. Read
// admin.go first.
package admin
