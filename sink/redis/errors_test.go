package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/resilience"
)

// reply is an error that the server sent.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

var _ goredis.Error = reply("")

func TestClassify(t *testing.T) {
	for text, want := range map[string]struct {
		class resilience.Class
		code  string
	}{
		"LOADING Redis is loading the dataset in memory":                    {resilience.Transient, "redis_loading"},
		"READONLY You can't write against a read only replica.":             {resilience.Transient, "redis_replica"},
		"OOM command not allowed when used memory > 'maxmemory'.":           {resilience.Transient, "redis_out_of_memory"},
		"MISCONF Redis is configured to save RDB snapshots":                 {resilience.Transient, "redis_read_only"},
		"BUSY Redis is busy running a script.":                              {resilience.Transient, "redis_busy"},
		"ERR max number of clients reached":                                 {resilience.Transient, "redis_unreachable"},
		"NOAUTH Authentication required.":                                   {resilience.Fatal, "redis_login"},
		"WRONGPASS invalid username-password pair or user is disabled.":     {resilience.Fatal, "redis_login"},
		"NOPERM User cdcd has no permissions to run the 'unlink' command":   {resilience.Fatal, "redis_forbidden"},
		"MOVED 3999 127.0.0.1:6381":                                         {resilience.Fatal, "redis_cluster"},
		"WRONGTYPE Operation against a key holding the wrong kind of value": {resilience.Fatal, "beacon_corrupt"},
		"ERR something that nobody has thought of":                          {resilience.Unclassified, "redis_error"},
	} {
		err := classify(fmt.Errorf("wrapped: %w", reply(text)), "op", "at")
		if resilience.ClassOf(err) != want.class || resilience.CodeOf(err) != want.code {
			t.Errorf("%s: %v %s", text, resilience.ClassOf(err), resilience.CodeOf(err))
		}
	}
	for _, err := range []error{io.EOF, &net.OpError{Op: "dial", Err: errors.New("refused")}, context.DeadlineExceeded, goredis.ErrClosed} {
		if got := classify(err, "op", "at"); resilience.ClassOf(got) != resilience.Transient || resilience.CodeOf(got) != "redis_unreachable" {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestConfig(t *testing.T) {
	good := DefaultConfig()
	good.Addrs = []string{"h:1"}
	good.Keys = []cachekey.Rule{{Table: "shop.users", Key: "user:{id}"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no address":           func(c *Config) { c.Addrs = nil },
		"address without port": func(c *Config) { c.Addrs = []string{"h"} },
		"user, no password":    func(c *Config) { c.Username = "u" },
		"tls keys without tls": func(c *Config) { c.TLS.CA = "x" },
		"half a certificate":   func(c *Config) { c.TLS = TLS{Enabled: true, Cert: "x"} },
		"flush without prefix": func(c *Config) { c.Keys[0].Key = "{id}:user" },
		"unknown policy":       func(c *Config) { c.OnGap = "hope" },
		"later policy":         func(c *Config) { c.OnGap = "wait_max_ttl" },
		"no time":              func(c *Config) { c.RequestTimeout = 0 },
		"huge commands":        func(c *Config) { c.CommandKeys = 1 << 20 },
	} {
		c := good
		c.Keys = []cachekey.Rule{good.Keys[0]}
		if change(&c); c.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestPrefix(t *testing.T) {
	for template, want := range map[string]string{
		"user:{id}": "user:", "cart:{{tenant}}:{id}": "cart:", `a\{b\\:{id}`: `a{b\:`, "{id}": "", "all": "all",
	} {
		if got := prefix(template); got != want {
			t.Errorf("%s: %q", template, got)
		}
	}
	c := Config{Keys: []cachekey.Rule{{Key: "user:{id}"}, {Key: "user:email:{email}"}, {Key: "order:{id}"}, {Key: "user:{id}"}}}
	if got := fmt.Sprint(c.prefixes()); got != "[order: user:]" {
		t.Error(got)
	}
}
