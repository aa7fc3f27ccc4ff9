package proof

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// CacheRig is a source, a cache in Redis and a daemon that keeps it clean.
type CacheRig struct {
	*Rig
	Redis *testenv.Redis
}

// CacheOptions choose what a cache's rig is made of.
type CacheOptions struct {
	Flavor testenv.Flavor
	Redis  testenv.RedisOptions
	Sink   string // further settings of the sink, in YAML flow style: ", on_gap: fail"
}

// cacheSchema is the table whose rows are cached by two keys.
const cacheSchema = `CREATE DATABASE shop;
CREATE TABLE shop.users (id BIGINT PRIMARY KEY, email VARCHAR(60) NOT NULL, name VARCHAR(30) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`

// NewCacheRig starts the servers and builds the daemon into dir. The caller owns
// env.
func NewCacheRig(ctx context.Context, env *testenv.Env, dir string, o CacheOptions) (*CacheRig, error) {
	r := &CacheRig{Rig: &Rig{Dir: dir, Env: env}}
	var err error
	if r.DB, err = env.MySQL(ctx, testenv.MySQLOptions{Flavor: o.Flavor}); err != nil {
		return nil, err
	}
	if r.Redis, err = env.Redis(ctx, o.Redis); err != nil {
		return nil, err
	}
	if err := r.DB.Exec(ctx, cacheSchema); err != nil {
		return nil, err
	}
	bin, err := Build(ctx, dir, false)
	if err != nil {
		return nil, err
	}
	return r, r.configure(bin, o)
}

func (r *CacheRig) configure(bin string, o CacheOptions) error {
	run, err := os.MkdirTemp("", "cdcd")
	if err != nil {
		return err
	}
	r.Socket = filepath.Join(run, "s")
	text := fmt.Sprintf(`sources:
  shop: {hosts: [%q], user: %s, password: "${env:CDCD_MYSQL_PASSWORD}", tables: {include: ["shop.*"]}}
sinks:
  cache:
    redis:
      {addrs: [%q], request_timeout: 1s, dial_timeout: 1s,
       keys: [{table: shop.users, key: "user:{id}"}, {table: shop.users, key: "user:email:{email}"}]%s}
pipelines:
  shop-cache: {source: shop, sink: cache}
checkpoint: {file: {dir: %q}}
admin: {socket: %q}
`, r.DB.Addr(), testenv.ReaderUser, r.Redis.Addr(), o.Sink, filepath.Join(r.Dir, "checkpoints"), r.Socket)
	path := filepath.Join(r.Dir, "cdcd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	r.Daemon = &Daemon{Bin: bin, Dir: r.Dir, Config: path, Env: []string{"CDCD_MYSQL_PASSWORD=" + testenv.ReaderPassword}}
	return nil
}

// Entries are the keys of rows that the cache has now.
func (r *CacheRig) Entries(ctx context.Context) ([]string, error) {
	keys, err := r.Redis.Client().Keys(ctx, "user:*").Result()
	if err != nil {
		return nil, fmt.Errorf("list the cache's entries: %w", err)
	}
	return keys, nil
}
