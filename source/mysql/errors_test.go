package mysql

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"testing"

	mysqlerr "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

func TestErrorsOfTheServer(t *testing.T) {
	for _, c := range []struct {
		code  uint16
		text  string
		class resilience.Class
		name  string
	}{
		{1045, "Access denied for user", resilience.Fatal, codeAccess},
		{1040, "Too many connections", resilience.Transient, "too_many_connections"},
		{1227, "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s)", resilience.Fatal, codePrivilege},
		{1053, "Server shutdown in progress", resilience.Transient, "server_shutdown"},
		{1236, "Cannot replicate because the source purged required binary logs.", resilience.Fatal, codePurged},
		{1236, "Could not find first log file name in binary log index file", resilience.Fatal, codePurged},
		{1236, "Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.", resilience.Fatal, codePurged},
		{1236, "Error: connecting slave requested to start from GTID 0-1-9, which is not in the master's binlog", resilience.Fatal, codeReset},
		{1236, "Slave has more GTIDs than the master has, using the master's SERVER_UUID.", resilience.Fatal, codeReset},
		{1236, "Client requested source to start replication from position > file size", resilience.Fatal, codeReset},
		{1236, "A replica with the same server_uuid/server_id as this replica has connected to the source", resilience.Transient, source.CodeDisplaced},
		{4052, "A slave with the same server_id is already connected", resilience.Transient, source.CodeDisplaced},
		{1236, "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source", resilience.Fatal, "max_allowed_packet"},
		{1236, "event read from binlog did not pass crc check", resilience.Fatal, "source_log_corrupt"},
		{1236, "something nobody has seen yet", resilience.Unclassified, "server_error"},
		{65000, "something nobody has seen yet", resilience.Unclassified, "server_error"},
	} {
		err := serverError(opRead, &mysqlerr.MyError{Code: c.code, Message: c.text})
		if resilience.ClassOf(err) != c.class || resilience.CodeOf(err) != c.name {
			t.Errorf("%d %s: %s %s", c.code, c.text, resilience.ClassOf(err), resilience.CodeOf(err))
		}
	}
}

// TestErrorsOfConnecting: what a person may be repairing stops a first start
// and is waited for later.
func TestErrorsOfConnecting(t *testing.T) {
	denied := fmt.Errorf("handshake: %w", &mysqlerr.MyError{Code: 1045})
	trust := fmt.Errorf("handshake: %w", x509.UnknownAuthorityError{})
	for _, c := range []struct {
		err    error
		worked bool
		class  resilience.Class
		name   string
	}{
		{denied, false, resilience.Fatal, codeAccess},
		{denied, true, resilience.Transient, codeAccess},
		{trust, false, resilience.Fatal, "tls_verify"},
		{trust, true, resilience.Transient, "tls_verify"},
		{errors.New("the MySQL Server does not support TLS required by the client"), false, resilience.Fatal, "tls_unavailable"},
		{io.ErrUnexpectedEOF, false, resilience.Transient, "cannot_connect"},
		{&mysqlerr.MyError{Code: 1381}, true, resilience.Fatal, codeLogBinOff},
	} {
		err := connectError(opConnect, c.err, c.worked)
		if resilience.ClassOf(err) != c.class || resilience.CodeOf(err) != c.name {
			t.Errorf("%v, worked %v: %s %s", c.err, c.worked, resilience.ClassOf(err), resilience.CodeOf(err))
		}
	}
}
