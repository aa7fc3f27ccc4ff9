package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cdcd-io/cdcd/internal/proof/capture"
	"github.com/cdcd-io/cdcd/internal/testenv"
)

// prefix is the connector's topic.prefix, everything the pattern of what it writes about the data.
const (
	prefix     = "prod"
	everything = `prod(\..*)?|__debezium-heartbeat\.prod`
)

// record runs the statements under Debezium and returns what it wrote, trimmed.
func record(ctx context.Context, env *testenv.Env, in string, schemas bool) ([]capture.Record, error) {
	r, err := newRecorder(ctx, env, in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	if err := r.db.Exec(ctx, "CREATE DATABASE shop CHARACTER SET utf8mb4"); err != nil {
		return nil, err
	}
	if err := r.run(ctx, "before.sql"); err != nil {
		return nil, err
	}
	connect, err := r.kafka.Connect(ctx, testenv.ConnectOptions{Schemas: schemas, Connector: r.connector()})
	if err != nil {
		return nil, err
	}
	if err := r.stream(ctx); err != nil {
		return nil, fmt.Errorf("%w; the log of Kafka Connect is %s", err, connect.LogPath())
	}
	// A worker that ends sends all it has read: nothing is written behind our back afterwards.
	if err := connect.Stop(ctx); err != nil {
		return nil, err
	}
	records, err := r.kafka.Consume(ctx, testenv.ConsumeOptions{Pattern: everything})
	if err != nil {
		return nil, err
	}
	trimmed := capture.Trim(prefix, capture.FromEnv(records))
	if schemas {
		trimmed = capture.OnePerSchema(trimmed)
	}
	return trimmed, nil
}

// recorder is what Debezium stands between.
type recorder struct {
	db    *testenv.MySQL
	kafka *testenv.Kafka
	in    string // folder of the statements
}

func newRecorder(ctx context.Context, env *testenv.Env, in string) (*recorder, error) {
	db, err := env.MySQL(ctx, testenv.MySQLOptions{ServerID: 97})
	if err != nil {
		return nil, err
	}
	broker, err := env.Kafka(ctx, testenv.KafkaOptions{Config: map[string]string{"auto.create.topics.enable": "true", "num.partitions": "3"}})
	return &recorder{db: db, kafka: broker, in: in}, err
}

func (r *recorder) connector() map[string]string {
	host, port, _ := strings.Cut(r.db.Addr(), ":")
	return map[string]string{
		"name":                         "mysql",
		"connector.class":              "io.debezium.connector.mysql.MySqlConnector",
		"database.hostname":            host,
		"database.port":                port,
		"database.user":                testenv.RootUser,
		"database.password":            testenv.RootPassword,
		"database.server.id":           "5401",
		"database.include.list":        "shop",
		"topic.prefix":                 prefix,
		"snapshot.mode":                "initial",
		"provide.transaction.metadata": "true",
		"include.schema.changes":       "true",
		"heartbeat.interval.ms":        "2000",
		"skipped.operations":           "none", // by default TRUNCATE leaves no trace
		"schema.history.internal.kafka.bootstrap.servers": r.kafka.Bootstrap(),
		"schema.history.internal.kafka.topic":             "schema-history",
	}
}

// run executes a file of statements on a connection of its own.
func (r *recorder) run(ctx context.Context, file string) error {
	sql, err := os.ReadFile(filepath.Join(r.in, file))
	if err != nil {
		return err
	}
	return r.db.Exec(ctx, "USE shop", string(sql))
}

// stream runs the statements that Debezium shall see as they happen, and returns when it has written the last of them.
func (r *recorder) stream(ctx context.Context) error {
	if err := r.await(ctx, "the last row of the snapshot", `prod\.shop\..*`, `"snapshot":"last"`); err != nil {
		return err
	}
	if err := r.run(ctx, "after.sql"); err != nil {
		return err
	}
	if err := r.run(ctx, "after2.sql"); err != nil {
		return err
	}
	last, err := r.db.Scalar(ctx, "SELECT CONCAT(@@server_uuid, ':', SUBSTRING_INDEX(SUBSTRING_INDEX(@@global.gtid_executed, ':', -1), '-', -1))")
	if err != nil {
		return err
	}
	return r.await(ctx, "the end of the last transaction", `prod\.transaction`, `"status":"END","id":"`+last+`"`)
}

// await reads topics until a value contains the text.
func (r *recorder) await(ctx context.Context, what, topics, text string) error {
	for rec, err := range r.kafka.Follow(ctx, testenv.ConsumeOptions{Pattern: topics}) {
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if strings.Contains(string(rec.Value), text) {
			return nil
		}
	}
	return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
}
