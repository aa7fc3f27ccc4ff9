package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cdcd-io/cdcd/resilience"
)

// conn is one connection to one server. When it breaks it stays broken: a new
// one may lead to a server that has lost what this one acknowledged.
type conn struct {
	*goredis.Conn
	addr   string
	client *goredis.Client
	socket net.Conn // set by greet
}

// quiet keeps the library from writing to standard error; what it has to tell
// comes with the errors too.
var quiet = sync.OnceFunc(func() { goredis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// dialPrimary connects to the first of the addresses that answers as a primary,
// or to the one that the first Sentinel to answer names.
func dialPrimary(ctx context.Context, cfg *Config) (*conn, error) {
	var errs []error
	for _, addr := range cfg.Addrs {
		c, err := dialBy(ctx, cfg, addr)
		if err == nil {
			return c, nil
		}
		if resilience.ClassOf(err) == resilience.Fatal {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, firstOf(errs)
}

func dialBy(ctx context.Context, cfg *Config, addr string) (*conn, error) {
	if cfg.MasterName == "" {
		return dial(ctx, cfg, addr)
	}
	primary, err := askSentinel(ctx, cfg, addr)
	if err != nil {
		return nil, err
	}
	return dial(ctx, cfg, primary)
}

// firstOf is the first error, with the others in its text.
func firstOf(errs []error) error {
	var e *resilience.Error
	if len(errs) > 1 && errors.As(errs[0], &e) {
		all := *e
		all.Err = errors.Join(errs...)
		return &all
	}
	return errs[0]
}

func dial(ctx context.Context, cfg *Config, addr string) (*conn, error) {
	o, err := options(cfg, addr)
	if err != nil {
		return nil, err
	}
	o.Username, o.Password, o.DB = cfg.Username, cfg.Password, cfg.DB
	c := &conn{addr: addr}
	o.Dialer = c.once(goredis.NewDialer(o))
	c.client = goredis.NewClient(o)
	c.Conn = c.client.Conn()
	if err := c.greet(ctx, cfg); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// options are those of every client: one connection, every command tried once.
func options(cfg *Config, addr string) (*goredis.Options, error) {
	quiet()
	secure, err := cfg.TLS.config(addr)
	if err != nil {
		return nil, resilience.Errorf(resilience.Fatal, "bad_config", "connect to Redis", "%w", err).WithPlace("%s", addr)
	}
	return &goredis.Options{
		Addr: addr, TLSConfig: secure,
		DialTimeout: cfg.DialTimeout, DialerRetries: 1, ReadTimeout: cfg.RequestTimeout, WriteTimeout: cfg.RequestTimeout,
		ContextTimeoutEnabled: true, MaxRetries: -1, PoolSize: 1, PipelinePoolSize: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

// once dials a single time, whatever the library would do.
func (c *conn) once(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if c.socket != nil {
			return nil, net.ErrClosed
		}
		socket, err := dial(ctx, network, addr)
		if err == nil {
			c.socket = socket
		}
		return socket, err
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// greet makes sure that deletes belong here.
func (c *conn) greet(ctx context.Context, cfg *Config) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	reply, err := c.Do(ctx, "hello").Result()
	if err != nil {
		return classify(err, "connect to Redis", c.addr)
	}
	is := helloOf(reply)
	switch {
	case is["mode"] == "cluster":
		return resilience.Errorf(resilience.Fatal, "redis_cluster", "connect to Redis", "it is a node of a cluster").WithPlace("%s", c.addr).
			WithHint("clusters are not supported yet: name a single server or a primary with replicas")
	case is["mode"] == "sentinel":
		return resilience.Errorf(resilience.Fatal, "redis_sentinel", "connect to Redis", "it is a Sentinel").WithPlace("%s", c.addr).
			WithHint("set master_name to the name by which it knows the primary")
	case is["role"] != "master":
		return resilience.Errorf(resilience.Transient, "redis_replica", "connect to Redis", "it is a %s, which takes no deletes", is["role"]).WithPlace("%s", c.addr).
			WithHint("name the primary in addrs, too")
	}
	return nil
}

// helloOf is the reply to HELLO, which is a map or, from older protocols, a list.
func helloOf(reply any) map[string]string {
	is := map[string]string{}
	switch r := reply.(type) {
	case map[any]any:
		for k, v := range r {
			is[fmt.Sprint(k)] = fmt.Sprint(v)
		}
	case []any:
		for i := 0; i+1 < len(r); i += 2 {
			is[fmt.Sprint(r[i])] = fmt.Sprint(r[i+1])
		}
	}
	if strings.HasPrefix(is["role"], "slave") {
		is["role"] = "replica"
	}
	return is
}

// cut ends the connection under somebody who waits for a reply. It may be called
// from any goroutine.
func (c *conn) cut() {
	if c.socket != nil {
		_ = c.socket.Close()
	}
}

// close ends the connection. Nobody may use it any more.
func (c *conn) close() {
	_ = c.Conn.Close() // nothing is owed any more
	_ = c.client.Close()
}
