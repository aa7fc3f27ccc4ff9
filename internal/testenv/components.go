package testenv

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// KafkaVersion is the broker and the Java consumer the proofs are made with, and the Kafka Connect that runs Debezium.
const KafkaVersion = "4.3.0"

// DebeziumVersion is what our Debezium JSON is compared with.
const DebeziumVersion = "3.6.1.Final"

// mysqlRoot installs the newest MySQL that Debian has: only its suite sid has any, and sid moves on.
func (c *cache) mysqlRoot(ctx context.Context) (string, error) {
	return c.entry(ctx, "mysql-sid-1", func(ctx context.Context, dir string) error {
		return aptInstall(ctx, dir, "sid", "mysql-server-core", "mysql-client-core", "mysql-client", "libc6")
	})
}

// mariadbRoot installs MariaDB 11.8, the long-term release in Debian trixie, and kcat beside it.
func (c *cache) mariadbRoot(ctx context.Context) (string, error) {
	return c.entry(ctx, "mariadb-trixie-1", func(ctx context.Context, dir string) error {
		return aptInstall(ctx, dir, "trixie", "mariadb-server-core", "mariadb-client-core", "mariadb-client", "kcat", "libc6")
	})
}

// kafkaRoot installs the broker with its tools, and a logger without which it would be mute.
func (c *cache) kafkaRoot(ctx context.Context) (string, error) {
	return c.entry(ctx, "kafka-"+KafkaVersion+"-1", func(ctx context.Context, dir string) error {
		if _, err := need("java", "Kafka needs Java 17 or newer; install the package default-jdk-headless"); err != nil {
			return err
		}
		return mavenInstall(ctx, dir,
			"org.apache.kafka:kafka_2.13:"+KafkaVersion,
			"org.apache.kafka:kafka-tools:"+KafkaVersion,
			"org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
	})
}

// debeziumRoot installs Debezium's MySQL connector and the Kafka Connect it runs in. Only the recording of its output needs it.
func (c *cache) debeziumRoot(ctx context.Context) (string, error) {
	return c.entry(ctx, "debezium-"+DebeziumVersion+"-1", func(ctx context.Context, dir string) error {
		return mavenInstall(ctx, dir,
			"org.apache.kafka:connect-runtime:"+KafkaVersion,
			"org.apache.kafka:connect-json:"+KafkaVersion,
			"io.debezium:debezium-connector-mysql:"+DebeziumVersion,
			"org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
	})
}

// redisRoots are where each version of Redis comes from. A name changes with its packages.
var redisRoots = map[RedisFlavor]struct {
	entry, suite, program string
	packages              []string
}{
	Redis70:  {"redis-bookworm-1", "bookworm", "redis-server", []string{"redis-server", "redis-tools", "libc6"}},
	Redis80:  {"redis-trixie-1", "trixie", "redis-server", []string{"redis-server", "redis-tools", "libc6"}},
	Valkey81: {"valkey-trixie-1", "trixie", "valkey-server", []string{"valkey-server", "valkey-tools", "libc6"}},
}

func (c *cache) redisRoot(ctx context.Context, f RedisFlavor) (string, error) {
	from := redisRoots[f]
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("not done after %v", installLimit))
	defer cancel()
	return c.entry(ctx, from.entry, func(ctx context.Context, dir string) error {
		return aptInstall(ctx, dir, from.suite, from.packages...)
	})
}

// debCommand is the command line that runs a program of an unpacked Debian root with that root's own C library, which may be
// newer than the machine's.
func debCommand(root, program string, args ...string) ([]string, error) {
	loaders := globs(root, "usr/lib*/ld-linux*.so.*", "lib/*-linux-gnu/ld-linux*.so.*")
	libs := globs(root, "usr/lib/*-linux-gnu", "lib/*-linux-gnu") // bookworm still has both
	if len(loaders) == 0 || len(libs) == 0 {
		return nil, fmt.Errorf("testenv: %s holds no C library; remove that folder and run again to install it anew", root)
	}
	path := strings.Join(append(libs, filepath.Join(libs[0], "mysql/private")), ":")
	return append([]string{loaders[0], "--library-path", path, filepath.Join(root, program)}, args...), nil
}

// globs are the files of a root that fit the patterns, by pattern.
func globs(root string, patterns ...string) []string {
	var all []string
	for _, p := range patterns {
		found, _ := filepath.Glob(filepath.Join(root, p)) // fails for a malformed pattern only
		all = append(all, found...)
	}
	return all
}

// Install makes sure a server ("mysql", "mariadb", "kafka", "redis" or "valkey") can be started without the network.
func (e *Env) Install(ctx context.Context, name string) error {
	switch name {
	case "mysql":
		_, _, err := e.mysqlTemplate(ctx, MySQL97)
		return err
	case "mariadb":
		_, _, err := e.mysqlTemplate(ctx, MariaDB118)
		return err
	case "kafka":
		return e.installKafka(ctx)
	case "redis":
		_, err := e.cache.redisRoot(ctx, Redis70)
		return err
	case "valkey":
		_, err := e.cache.redisRoot(ctx, Valkey81)
		return err
	}
	return fmt.Errorf("testenv: install %q: there is no such server; the servers are mysql, mariadb, kafka, redis and valkey", name)
}

func (e *Env) installKafka(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("not done after %v", installLimit))
	defer cancel()
	root, err := e.cache.kafkaRoot(ctx)
	if err != nil {
		return err
	}
	if _, err := e.brokerTemplate(ctx, root, 1); err != nil {
		return err
	}
	_, err = e.cache.consumerClasses(ctx, root)
	return err
}
