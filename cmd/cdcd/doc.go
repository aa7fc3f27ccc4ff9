// Cdcd reads the binary log of MySQL and MariaDB and delivers every transaction
// whole and in order.
//
// This folder is the only one that knows every part: main.go puts the daemon
// together, sinks.go is the table of what can stand at the end of a line. Each
// verb of the command line has a file of its own; cli.go finds the verb, reads
// its flags and prints its help; errors.go says what an error looks like to a
// person and which exit code it has.
//
// The specification of all of it is testdata/script: what is typed, what is
// printed, how it ends.
package main
