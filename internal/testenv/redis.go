package testenv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisFlavor is a server and its version. The zero value is Redis70.
type RedisFlavor int

const (
	// Redis70 is Redis 7.0, of Debian bookworm.
	Redis70 RedisFlavor = iota
	// Redis80 is Redis 8.0, of Debian trixie.
	Redis80
	// Valkey81 is Valkey 8.1, of Debian trixie.
	Valkey81
)

// RedisFlavors lists every server a test of the cache has to pass on.
var RedisFlavors = []RedisFlavor{Redis70, Redis80, Valkey81}

// String is the name of the server and its version.
func (f RedisFlavor) String() string {
	return [...]string{"redis-7.0", "redis-8.0", "valkey-8.1"}[f]
}

// The account by which Client and replicas come to every server. It may do everything.
const (
	RedisAdmin         = "testenv"
	RedisAdminPassword = "testenv-secret"
)

// RedisOptions says how a server differs from the default: no password, every command allowed, nothing kept on disk, so that
// it comes back empty from Kill and Stop.
type RedisOptions struct {
	Flavor RedisFlavor
	// AppendOnly writes every change to a file before it is acknowledged: it survives Kill, though not a power cut.
	AppendOnly bool
	// ReplicaOf is the address of a primary, or of a Proxy before it.
	ReplicaOf string
	// Users are accounts by name, each with its ACL rules: "on >secret ~user:* +unlink". The user "default" is who comes
	// without a login, and may do everything unless it is given here. RedisAdmin is there always.
	Users map[string]string
	// TLS adds a second port, SecureAddr, that takes encrypted connections, with a client certificate or without.
	TLS bool
	// Config adds or overrides lines of redis.conf.
	Config map[string]string
}

// Redis is a running Redis or Valkey server, or a Sentinel.
type Redis struct {
	server
	opts       RedisOptions
	root       string
	port       int
	securePort int
	busPort    int // for its cluster, if it is of one
	dumps      int
	client     *redis.Client
}

// Redis installs the server if need be, starts an empty one and returns when it answers; a replica, when it has what its
// primary had.
func (e *Env) Redis(ctx context.Context, o RedisOptions) (*Redis, error) {
	r, err := e.newRedis(ctx, o, "redis")
	if err != nil {
		return nil, err
	}
	r.client = r.Dial(&redis.Options{Username: RedisAdmin, Password: RedisAdminPassword})
	if err := r.prepare(append(lines(r.settings()), r.users()...)); err != nil {
		return nil, err
	}
	if err := r.up(ctx); err != nil || o.ReplicaOf == "" {
		return r, err
	}
	return r, r.AwaitLink(ctx)
}

// newRedis prepares everything but client, configuration and process.
func (e *Env) newRedis(ctx context.Context, o RedisOptions, kind string) (*Redis, error) {
	root, err := e.cache.redisRoot(ctx, o.Flavor)
	if err != nil {
		return nil, err
	}
	name, dir, err := e.newDir(kind)
	if err != nil {
		return nil, err
	}
	r := &Redis{opts: o, root: root}
	for _, port := range []*int{&r.port, &r.securePort, &r.busPort} {
		if *port, err = e.ports.reserve(); err != nil {
			return nil, err
		}
	}
	r.server = server{name: name, dir: dir, logPath: filepath.Join(dir, "server.log"), env: e, ready: r.answers}
	if !o.TLS {
		return r, nil
	}
	if err := os.Mkdir(r.certs(), 0o755); err != nil {
		return nil, fmt.Errorf("testenv: make a folder for certificates: %w", err)
	}
	return r, makeCertificates(r.certs())
}

// up registers what ends the server, and starts it.
func (r *Redis) up(ctx context.Context) error {
	end := func() error { return errors.Join(r.client.Close(), r.close()) }
	if err := r.env.onClose(end); err != nil {
		return err
	}
	return r.start(ctx)
}

// Addr is host:port for clients.
func (r *Redis) Addr() string { return loopback(r.port) }

// SecureAddr is where clients connect by TLS, if RedisOptions ask for it.
func (r *Redis) SecureAddr() string { return loopback(r.securePort) }

// Flavor says which server this is.
func (r *Redis) Flavor() RedisFlavor { return r.opts.Flavor }

// Client may do everything and tries each command once. It lives as long as the server's Env.
func (r *Redis) Client() *redis.Client { return r.client }

// Dial makes a client of this server, of which the caller sets what concerns it (user, password, address of a proxy). It
// tries each command once, and the caller closes it.
func (r *Redis) Dial(o *redis.Options) *redis.Client {
	if o.Addr == "" {
		o.Addr = r.Addr()
	}
	quiet()
	o.MaxRetries = -1
	o.ContextTimeoutEnabled = true
	o.DialTimeout = time.Second
	o.DialerRetries = 1
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o)
}

// quiet keeps the library from writing to standard error that a server is away, which tests want it to be.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Command is the command line of a client program of the same version: cli, benchmark, check-rdb or check-aof.
func (r *Redis) Command(program string, args ...string) ([]string, error) {
	prefix := "usr/bin/redis-"
	if r.opts.Flavor == Valkey81 {
		prefix = "usr/bin/valkey-"
	}
	return debCommand(r.root, prefix+program, args...)
}

// CAPath is the certificate that signed the server's own, which is good for 127.0.0.1 and localhost.
func (r *Redis) CAPath() string { return filepath.Join(r.certs(), caFile) }

// ClientCertPath is a certificate the server takes from a client.
func (r *Redis) ClientCertPath() string { return filepath.Join(r.certs(), clientCertFile) }

// ClientKeyPath is the key of ClientCertPath.
func (r *Redis) ClientKeyPath() string { return filepath.Join(r.certs(), clientKeyFile) }

// TLSConfig verifies this server and nothing else, and presents the client certificate if asked.
func (r *Redis) TLSConfig() (*tls.Config, error) { return tlsConfig(r.certs()) }

func (r *Redis) certs() string { return filepath.Join(r.dir, "certificates") }

// answers is true of a server that takes commands: while one loads its data it refuses them.
func (r *Redis) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return r.client.Ping(ctx).Err()
}
