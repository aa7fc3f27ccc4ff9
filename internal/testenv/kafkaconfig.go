package testenv

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// clusterID is any identifier in Kafka's form; clusters never meet, so all may share one.
const clusterID = "Y2RjZC10ZXN0ZW52LTAwMA"

// properties of one member. Three listeners: CLIENT and DIRECT may be advertised as a proxy's address, VOTE is the
// controllers'. Secured brokers have more.
func (k *Kafka) properties(b *Broker, o KafkaOptions) map[string]string {
	var voters []string
	for _, other := range k.voters {
		voters = append(voters, fmt.Sprintf("%d@%s", other.id, loopback(other.votePort)))
	}
	replicas := strconv.Itoa(min(len(k.brokers), 3))
	inSync := strconv.Itoa(min(len(k.brokers), 2))
	p := map[string]string{
		"node.id":                                          strconv.Itoa(b.id),
		"controller.quorum.voters":                         strings.Join(voters, ","),
		"controller.listener.names":                        "VOTE",
		"log.dirs":                                         filepath.Join(b.dir, "data"),
		"auto.create.topics.enable":                        "false",
		"default.replication.factor":                       replicas,
		"min.insync.replicas":                              inSync,
		"offsets.topic.num.partitions":                     "4",
		"offsets.topic.replication.factor":                 replicas,
		"transaction.state.log.num.partitions":             "4",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.num.partitions":     "1",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            inSync,
		// A killed broker may come back only when the controller has given up its former life: 9 s by default.
		"broker.session.timeout.ms":        "2000",
		"broker.heartbeat.interval.ms":     "300",
		"group.initial.rebalance.delay.ms": "0",
		"log.cleaner.dedupe.buffer.size":   "4194304",
		"log.index.size.max.bytes":         "1048576",
	}
	k.addListeners(p, b)
	k.secure(p)
	maps.Copy(p, o.Config)
	return p
}

// addListeners says what the member is and where it listens.
func (k *Kafka) addListeners(p map[string]string, b *Broker) {
	var roles, listeners, advertised []string
	protocols := []string{"VOTE:PLAINTEXT"}
	listen := func(name, protocol string, port int, address string) {
		listeners = append(listeners, name+"://"+loopback(port))
		advertised = append(advertised, name+"://"+address)
		protocols = append(protocols, name+":"+protocol)
	}
	if slices.Contains(k.brokers, b) {
		roles = append(roles, "broker")
		listen("CLIENT", "PLAINTEXT", b.clientPort, b.advertised)
		listen("DIRECT", "PLAINTEXT", b.directPort, b.advertisedDirect)
		for l, port := range b.secure {
			listen(string(l), l.protocol(), port, loopback(port))
		}
		p["advertised.listeners"] = strings.Join(advertised, ",")
		p["inter.broker.listener.name"] = "DIRECT"
	} else {
		protocols = append(protocols, "DIRECT:PLAINTEXT")
	}
	if slices.Contains(k.voters, b) {
		roles = append(roles, "controller")
		listeners = append(listeners, "VOTE://"+loopback(b.votePort))
	}
	p["process.roles"] = strings.Join(roles, ",")
	p["listeners"] = strings.Join(listeners, ",")
	p["listener.security.protocol.map"] = strings.Join(protocols, ",")
}

// logProperties print what a person needs when a broker fails, and nothing per request.
var logProperties = map[string]string{
	"appender.out.type":              "Console",
	"appender.out.name":              "out",
	"appender.out.layout.type":       "PatternLayout",
	"appender.out.layout.pattern":    "%d{ISO8601} %p %m (%c{1})%n%throwable",
	"rootLogger.level":               "INFO",
	"rootLogger.appenderRef.out.ref": "out",
	// These print their whole configuration, hundreds of lines, at every start.
	"logger.config.name":  "org.apache.kafka.common.config.AbstractConfig",
	"logger.config.level": "WARN",
}

func writeProperties(path string, p map[string]string) error {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", key, strings.ReplaceAll(p[key], `\`, `\\`))
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("testenv: write %s: %w", path, err)
	}
	return nil
}

// brokerTemplate is a formatted, empty data directory of the node; the tool that makes one takes seconds to start.
func (e *Env) brokerTemplate(ctx context.Context, root string, id int) (string, error) {
	name := fmt.Sprintf("%s-node%d", filepath.Base(root), id)
	dir, err := e.cache.entry(ctx, name, func(ctx context.Context, dir string) error {
		properties := filepath.Join(dir, "format.properties")
		err := writeProperties(properties, map[string]string{
			"process.roles":                  "broker,controller",
			"node.id":                        strconv.Itoa(id),
			"controller.quorum.voters":       fmt.Sprintf("%d@127.0.0.1:1", id), // not part of what is formatted
			"listeners":                      "PLAINTEXT://127.0.0.1:2,VOTE://127.0.0.1:1",
			"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,VOTE:PLAINTEXT",
			"controller.listener.names":      "VOTE",
			"log.dirs":                       filepath.Join(dir, "data"),
		})
		if err != nil {
			return err
		}
		argv, err := javaCommand(root, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", properties)
		if err != nil {
			return err
		}
		return run(ctx, dir, nil, argv...)
	})
	return filepath.Join(dir, "data"), err
}

// javaCommand runs a class of the broker's jars.
func javaCommand(root string, args ...string) ([]string, error) {
	java, err := need("java", "Kafka needs Java 17 or newer; install the package default-jdk-headless")
	if err != nil {
		return nil, fmt.Errorf("testenv: %w", err)
	}
	return append([]string{java, "-cp", filepath.Join(root, "libs/*")}, args...), nil
}
