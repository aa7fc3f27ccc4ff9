// Package testenv starts real servers for tests, benchmarks and the demo: MySQL, MariaDB, Kafka, Redis and Valkey, each with
// its own data directory, its own port on 127.0.0.1 and its own process, so that a test may kill, freeze or cut it off without
// hurting anybody else.
//
// Nothing has to be installed on the machine beyond Debian's apt and a JDK with Maven: the servers are downloaded once into
// a cache outside the tree (CDCD_TESTENV_CACHE, by default the user's cache directory) and shared by every process. A server
// that cannot be had is an error that names what is missing; it is never skipped, because a test that did not run proves
// nothing.
//
// In a test:
//
//	env := testenv.ForTest(t)
//	db := env.MySQL(testenv.MySQLOptions{})        // a private server, up when the call returns
//	err := db.Exec(ctx, "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY)")
//	broker := env.Kafka(testenv.KafkaOptions{})
//	records, err := broker.Consume(ctx, testenv.ConsumeOptions{Topics: []string{"shop"}})
//	cache := env.Redis(testenv.RedisOptions{})     // empty again after Kill, unless AppendOnly
//	n, err := cache.Client().Exists(ctx, "user:1").Result()
//
// Tests that need only a database of their own share one server per process: SharedMySQL, with TestMain calling Main.
//
// The proofs of this project are read by somebody else's code: Consume runs the Java consumer that ships with the broker, in
// its default isolation read_committed, so that a defect of our Kafka client cannot hide itself.
//
// Kafka.Connect runs Debezium itself, in Kafka Connect, so that its records can be made again; tests compare with the records
// that the tree keeps and do not need it.
//
// Proxy stands between a client and a server and misbehaves on request: latency, bandwidth, black holes, resets, cuts and
// flipped bytes; it counts MySQL packets and understands Kafka requests well enough to hold, delay or lose a chosen one.
//
// # Which file to read first
//
// env.go (Env, ForTest), then mysql.go, kafka.go or redis.go, then proxy.go. Installing is cache.go (once, atomically), apt.go, maven.go
// and components.go (what is installed). A process and its death are process.go.
//
// # Invariants
//
// Every wait has a deadline. A child never outlives the test process, however that ends (see spawner). A half-made download
// or data directory never becomes visible in the cache. Ports stay reserved while a server is down, so Restart finds them.
package testenv
