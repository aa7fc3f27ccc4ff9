package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/resilience"
)

// verdicts are the meanings of replies by their first word. What is not here is
// unclassified.
var verdicts = []struct {
	word  string
	class resilience.Class
	code  string
	hint  string
}{
	{"LOADING", resilience.Transient, "redis_loading", ""},
	{"READONLY", resilience.Transient, "redis_replica", "name the primary in addrs, too"},
	{"MASTERDOWN", resilience.Transient, "redis_replica", ""},
	{"UNBLOCKED", resilience.Transient, "redis_replica", ""},
	{"TRYAGAIN", resilience.Transient, "redis_busy", ""},
	{"BUSY", resilience.Transient, "redis_busy", "a script of somebody runs for long: SCRIPT KILL ends it"},
	{"OOM", resilience.Transient, "redis_out_of_memory", "raise maxmemory, or choose a maxmemory-policy that evicts"},
	{"MISCONF", resilience.Transient, "redis_read_only", "Redis cannot save to disk and refuses writes: see its log"},
	{"NOREPLICAS", resilience.Transient, "redis_read_only", "fewer replicas are connected than min-replicas-to-write wants"},
	{"ERR unknown command 'sentinel'", resilience.Fatal, "redis_sentinel", "addrs are no Sentinels: leave master_name out"},
	{"ERR unknown command 'SENTINEL'", resilience.Fatal, "redis_sentinel", "addrs are no Sentinels: leave master_name out"},
	{"ERR max number of clients", resilience.Transient, "redis_unreachable", "raise maxclients"},
	{"MOVED", resilience.Fatal, "redis_cluster", hintCluster},
	{"ASK", resilience.Fatal, "redis_cluster", hintCluster},
	{"CROSSSLOT", resilience.Fatal, "redis_cluster", hintCluster},
	{"CLUSTERDOWN", resilience.Fatal, "redis_cluster", hintCluster},
	{"NOAUTH", resilience.Fatal, "redis_login", "set username and password of this sink"},
	{"WRONGPASS", resilience.Fatal, "redis_login", "see username and password of this sink"},
	{"NOPERM", resilience.Fatal, "redis_forbidden", hintRights},
	{"WRONGTYPE", resilience.Fatal, "beacon_corrupt", hintDamaged},
	{"ERR DB index is out of range", resilience.Fatal, "bad_config", "see db of this sink"},
	{"ERR unknown command", resilience.Fatal, "redis_too_old", "Redis 7.0 or later, or Valkey, is needed"},
}

const (
	hintCluster = "clusters are not supported yet: name a single server or a primary with replicas"
	hintRights  = "ACL SETUSER NAME on >PASSWORD ~cdcd:* ~gen:* ~KEYS* +hello +select +unlink +hmget +hset +time +evalsha +eval +scan, with the beginning of each of your keys for KEYS"
)

// classify says what an error of the client means.
func classify(err error, op, addr string) error {
	if err == nil || resilience.ClassOf(err) != resilience.Unclassified {
		return err
	}
	e := &resilience.Error{Op: op, At: addr, Err: err}
	var reply goredis.Error
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &verify):
		e.Class, e.Code, e.Hint = resilience.Fatal, "tls_verify", "see tls.ca and tls.server_name of this sink"
	case !errors.As(err, &reply), unreachable(err):
		e.Class, e.Code = resilience.Transient, "redis_unreachable"
	default:
		judge(e, reply.Error())
	}
	return e
}

// unreachable tells errors of the way from replies of the server.
func unreachable(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, goredis.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// judge looks up what a reply means.
func judge(e *resilience.Error, reply string) {
	for _, v := range verdicts {
		if strings.HasPrefix(reply, v.word) {
			e.Class, e.Code, e.Hint = v.class, v.code, v.hint
			return
		}
	}
	e.Code = "redis_error"
}

// patient waits refusals out once this process has delivered: somebody is at
// work on the accounts, or a server of another kind stands where ours was.
func patient(err error, delivered bool) error {
	var e *resilience.Error
	if !delivered || !errors.As(err, &e) || e.Class != resilience.Fatal {
		return err
	}
	switch e.Code {
	case "redis_login", "redis_forbidden", "tls_verify", "redis_cluster", "redis_sentinel":
		later := *e
		later.Class = resilience.Transient
		return &later
	}
	return err
}

func notConnected() error {
	return resilience.Errorf(resilience.Transient, "not_connected", "delete keys", "the sink is not connected")
}
