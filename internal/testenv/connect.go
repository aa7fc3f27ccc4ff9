package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
)

// ConnectOptions say what a Kafka Connect worker runs.
type ConnectOptions struct {
	// Schemas makes the JSON converter write {"schema":…,"payload":…}.
	Schemas bool
	// Connector holds the properties of the one connector; "name" names it.
	Connector map[string]string
}

// Connect is a standalone worker of Kafka Connect with Debezium's MySQL connector: what cdcd is compared with.
type Connect struct {
	server
	port      int
	connector string
}

// Connect installs Debezium if need be and starts a worker that writes to the cluster. It returns when the connector's task
// runs. Topics come from the broker: it needs auto.create.topics.enable.
func (k *Kafka) Connect(ctx context.Context, o ConnectOptions) (*Connect, error) {
	root, err := k.env.installDebezium(ctx)
	if err != nil {
		return nil, err
	}
	c, err := k.newConnect(o)
	if err != nil {
		return nil, err
	}
	files, err := c.writeFiles(k, o)
	if err != nil {
		return nil, err
	}
	c.argv, err = javaCommand(root, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Dlog4j2.configurationFile="+filepath.Join(c.dir, "log4j2.properties"), "org.apache.kafka.connect.cli.ConnectStandalone", files[0], files[1])
	if err != nil {
		return nil, err
	}
	c.ready = c.runs
	if err := k.env.onClose(c.close); err != nil {
		return nil, err
	}
	return c, c.start(ctx)
}

func (e *Env) installDebezium(ctx context.Context) (root string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("not done after %v", installLimit))
	defer cancel()
	return e.cache.debeziumRoot(ctx)
}

func (k *Kafka) newConnect(o ConnectOptions) (*Connect, error) {
	name, dir, err := k.env.newDir("connect")
	if err != nil {
		return nil, err
	}
	c := &Connect{connector: o.Connector["name"]}
	c.server = server{name: name, dir: dir, logPath: filepath.Join(dir, "connect.log"), env: k.env}
	c.port, err = k.env.ports.reserve()
	return c, err
}

// writeFiles returns the properties of the worker and those of the connector.
func (c *Connect) writeFiles(k *Kafka, o ConnectOptions) (files [2]string, err error) {
	schemas := strconv.FormatBool(o.Schemas)
	const converter = "org.apache.kafka.connect.json.JsonConverter"
	worker := map[string]string{
		"bootstrap.servers":              k.Bootstrap(),
		"listeners":                      "http://" + loopback(c.port),
		"offset.storage.file.filename":   filepath.Join(c.dir, "offsets"),
		"key.converter":                  converter,
		"key.converter.schemas.enable":   schemas,
		"value.converter":                converter,
		"value.converter.schemas.enable": schemas,
	}
	files = [2]string{filepath.Join(c.dir, "worker.properties"), filepath.Join(c.dir, "connector.properties")}
	if err := writeProperties(files[0], worker); err != nil {
		return files, err
	}
	if err := writeProperties(files[1], o.Connector); err != nil {
		return files, err
	}
	return files, writeProperties(filepath.Join(c.dir, "log4j2.properties"), logProperties)
}

// runs asks the worker whether the connector's only task is running.
func (c *Connect) runs(ctx context.Context) error {
	url := "http://" + loopback(c.port) + "/connectors/" + c.connector + "/status"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var status struct {
		Tasks []struct{ State, Trace string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return fmt.Errorf("read the status of connector %s: %w", c.connector, err)
	}
	if len(status.Tasks) != 1 || status.Tasks[0].State != "RUNNING" {
		return fmt.Errorf("connector %s has the tasks %+v, want one that is RUNNING", c.connector, status.Tasks)
	}
	return nil
}
