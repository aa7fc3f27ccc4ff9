package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"strings"

	mysqlerr "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// What was being done, for the errors of this package.
const (
	opConnect = "connect to source"
	opOpen    = "open binlog"
	opRead    = "read binlog"
	opAsk     = "ask source"
)

// The codes of the stops that more than one place builds.
const (
	codeAccess     = "access_denied"
	codePrivilege  = "missing_privilege"
	codePurged     = source.CodePurged
	codeReset      = source.CodeReset
	codeLogBinOff  = "log_bin_off"
	codeClash      = "server_id_clash"
	codeRowSize    = "row_too_large"
	codeUnexpected = "unexpected_event"
	codeXA         = "xa_not_supported"
)

const (
	hintAccess = "check user and password, and that the account may connect from this machine"
	hintGrant  = "run the GRANT statements that cdcd check prints"
	hintDown   = "start the server, or check hosts, its bind_address and what stands between; cdcd goes on by itself once it answers"
	hintPurged = "what was purged cannot be read any more: restore those logs on the source and resume; or set " + resilience.BridgeGap + "; or " + resilience.StartOver +
		"; raise binlog_expire_logs_seconds so that the log outlives the longest outage"
	hintReset = "the source has lost or reset its log, so positions and GTIDs may mean other changes than before: set " + resilience.BridgeGap + "; or " + resilience.StartOver
	hintClash = "another reader of this server uses our server_id: give each installation and pipeline its own range (server_ids)"
)

// meaning is what an error of the server means to us.
type meaning struct {
	class resilience.Class
	code  string
	hint  string
	// curable marks errors by which a first connection must fail at once, since
	// somebody mistyped, while later on somebody may be about to repair it.
	curable bool
}

var meanings = map[uint16]meaning{
	1040: {class: resilience.Transient, code: "too_many_connections", hint: "the server's max_connections is reached"},
	1044: {class: resilience.Fatal, code: codePrivilege, hint: hintGrant, curable: true},
	1045: {class: resilience.Fatal, code: codeAccess, hint: hintAccess, curable: true},
	1053: {class: resilience.Transient, code: "server_shutdown"},
	1129: {class: resilience.Transient, code: "host_blocked", hint: "too many failed connections: TRUNCATE performance_schema.host_cache or FLUSH HOSTS on the source"},
	1130: {class: resilience.Fatal, code: codeAccess, hint: hintAccess, curable: true},
	1142: {class: resilience.Fatal, code: codePrivilege, hint: hintGrant, curable: true},
	1143: {class: resilience.Fatal, code: codePrivilege, hint: hintGrant, curable: true},
	1152: {class: resilience.Transient, code: "connection_aborted"},
	1158: {class: resilience.Transient, code: "connection_lost"},
	1159: {class: resilience.Transient, code: "connection_lost"},
	1160: {class: resilience.Transient, code: "connection_lost"},
	1161: {class: resilience.Transient, code: "connection_lost"},
	1193: {class: resilience.Fatal, code: "server_too_old", hint: "the server does not know a variable that is needed: MySQL 8.0.14 or MariaDB 10.5 is the oldest that is supported"},
	1203: {class: resilience.Transient, code: "too_many_connections", hint: "the account's max_user_connections is reached"},
	1205: {class: resilience.Transient, code: "lock_wait"},
	1213: {class: resilience.Transient, code: "deadlock"},
	1226: {class: resilience.Transient, code: "too_many_connections", hint: "a resource limit of the account is reached"},
	1227: {class: resilience.Fatal, code: codePrivilege, hint: hintGrant, curable: true},
	1251: {class: resilience.Fatal, code: "auth_plugin", hint: "the account's authentication plugin is not supported: use caching_sha2_password, mysql_native_password, sha256_password or ed25519"},
	1317: {class: resilience.Transient, code: "query_interrupted"},
	1373: {class: resilience.Fatal, code: codePurged, hint: hintPurged},
	1381: {class: resilience.Fatal, code: codeLogBinOff, hint: "set log_bin in the server's option file and restart it"},
	1820: {class: resilience.Fatal, code: codeAccess, hint: "the account's password must be changed first", curable: true},
	1862: {class: resilience.Fatal, code: codeAccess, hint: "the account's password has expired", curable: true},
	1927: {class: resilience.Transient, code: "connection_killed"},
	1969: {class: resilience.Transient, code: "query_timeout"},
	3024: {class: resilience.Transient, code: "query_timeout"},
	3118: {class: resilience.Fatal, code: codeAccess, hint: "the account is locked", curable: true},
	3159: {class: resilience.Fatal, code: "tls_required", hint: "the server insists on TLS: set tls.mode to required or more", curable: true},
	4052: {class: resilience.Transient, code: source.CodeDisplaced, hint: hintClash},
	3169: {class: resilience.Transient, code: "connection_killed"},
	4031: {class: resilience.Transient, code: "connection_killed"},
	4151: {class: resilience.Fatal, code: codeAccess, hint: "the account is locked", curable: true},
}

// dumpFailed is the one code under which the server reports everything that
// goes wrong with a dump; the text tells what.
const dumpFailed = 1236

// dumpMeanings tell the texts apart, in the wording of MySQL 5.7 to 9.x and
// MariaDB 10.5 to 11.x; the first that is contained counts.
var dumpMeanings = []struct {
	text string
	meaning
}{
	{"same server_uuid/server_id", meaning{class: resilience.Transient, code: source.CodeDisplaced, hint: hintClash}},
	{"purged", meaning{class: resilience.Fatal, code: codePurged, hint: hintPurged}},
	{"could not find first log file", meaning{class: resilience.Fatal, code: codePurged, hint: hintPurged}},
	{"could not find gtid state", meaning{class: resilience.Fatal, code: codePurged, hint: hintPurged}},
	{"more gtids than", meaning{class: resilience.Fatal, code: codeReset, hint: hintReset}},
	{"not in the master's binlog", meaning{class: resilience.Fatal, code: codeReset, hint: hintReset}},
	{"position > file size", meaning{class: resilience.Fatal, code: codeReset, hint: hintReset}},
	{"impossible position", meaning{class: resilience.Fatal, code: codeReset, hint: hintReset}},
	{"missing the gtid", meaning{class: resilience.Fatal, code: codeReset, hint: hintReset}},
	{"binary log is not open", meaning{class: resilience.Fatal, code: codeLogBinOff, hint: "set log_bin in the server's option file and restart it"}},
	{"max_allowed_packet", meaning{class: resilience.Fatal, code: "max_allowed_packet", hint: "an event is larger than the server may send: raise its max_allowed_packet"}},
	{"crc check", meaning{class: resilience.Fatal, code: "source_log_corrupt", hint: "the log is damaged on the source's disk: check the file with mysqlbinlog --verify-binlog-checksum"}},
	{"corrupt", meaning{class: resilience.Fatal, code: "source_log_corrupt", hint: "the log is damaged on the source's disk: check the file with mysqlbinlog --verify-binlog-checksum"}},
	{"bogus data", meaning{class: resilience.Fatal, code: "source_log_corrupt", hint: "the log is damaged on the source's disk: check the file with mysqlbinlog --verify-binlog-checksum"}},
	{"could not open log file", meaning{class: resilience.Transient, code: "source_log_unreadable"}},
	{"i/o error", meaning{class: resilience.Transient, code: "source_log_unreadable"}},
	{"shutting down", meaning{class: resilience.Transient, code: "server_shutdown"}},
}

// serverError gives an error of the server its meaning. Codes that are not in
// the tables stay unclassified, so that a missing case shows up.
func serverError(op string, e *mysqlerr.MyError) error {
	return meaningOf(e).error(op, e)
}

func meaningOf(e *mysqlerr.MyError) meaning {
	if e.Code != dumpFailed {
		return meanings[e.Code]
	}
	text := strings.ToLower(e.Message)
	for _, m := range dumpMeanings {
		if strings.Contains(text, m.text) {
			return m.meaning
		}
	}
	return meaning{}
}

func (m meaning) error(op string, err error) *resilience.Error {
	if m.code == "" {
		m.code = "server_error"
	}
	return &resilience.Error{Class: m.class, Code: m.code, Op: op, Hint: m.hint, Err: err}
}

// connectError classifies what went wrong before or between statements. Once a
// stream has worked, what a person may be repairing is worth waiting for:
// passwords rotate, and a transient error must not turn fatal by itself.
func connectError(op string, err error, worked bool) error {
	var named *resilience.Error
	if errors.As(err, &named) {
		return err
	}
	m := causeOf(err)
	var my *mysqlerr.MyError
	if errors.As(err, &my) {
		err = my // without the names of functions around it
	}
	e := m.error(op, err)
	if m.curable && worked {
		e.Class = resilience.Transient
	}
	return e
}

func causeOf(err error) meaning {
	var my *mysqlerr.MyError
	if errors.As(err, &my) {
		return meaningOf(my)
	}
	var unknownCA x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var verify *tls.CertificateVerificationError
	if errors.As(err, &unknownCA) || errors.As(err, &wrongName) || errors.As(err, &verify) {
		return meaning{class: resilience.Fatal, code: "tls_verify", curable: true,
			hint: "the server's certificate is not trusted: set tls.ca (and tls.server_name), or use a lower tls.mode"}
	}
	if errors.Is(err, errTLSFiles) {
		return meaning{class: resilience.Fatal, code: "tls_files", curable: true,
			hint: "tls.ca, tls.cert and tls.key must name readable PEM files"}
	}
	if strings.Contains(err.Error(), noTLS) {
		return meaning{class: resilience.Fatal, code: "tls_unavailable", curable: true,
			hint: "the server has no TLS: set it up there, or use tls.mode preferred"}
	}
	if strings.Contains(err.Error(), "auth plugin") {
		return meanings[1251]
	}
	return meaning{class: resilience.Transient, code: "cannot_connect", hint: hintDown}
}

// noTLS is how go-mysql says that the server cannot do TLS.
const noTLS = "does not support TLS"

// errorPacket reads an error packet of the protocol.
func errorPacket(p []byte) *mysqlerr.MyError {
	if len(p) < 3 {
		return &mysqlerr.MyError{Message: "a truncated error"}
	}
	e := &mysqlerr.MyError{Code: binary.LittleEndian.Uint16(p[1:])}
	p = p[3:]
	if len(p) >= 6 && p[0] == '#' {
		e.State, p = string(p[1:6]), p[6:]
	}
	e.Message = string(p)
	return e
}
