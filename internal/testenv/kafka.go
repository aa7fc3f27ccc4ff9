package testenv

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// KafkaOptions says how a cluster differs from the default: one broker that is its own controller, transactions and consumer
// groups on one replica, topics made by hand only.
type KafkaOptions struct {
	// Brokers defaults to 1. With three, internal topics have three replicas of which two must be in sync.
	Brokers int
	// Advertise returns the address the cluster tells clients to use for a broker (numbered from 0) that really listens at addr,
	// for instance a Proxy's. Nil advertises addr itself.
	Advertise func(broker int, addr string) (string, error)
	// AdvertiseDirect is the same for the second listener, through which brokers talk among themselves and with themselves: a
	// proxy there sees the requests of transaction coordinators. DirectAddrs still lead around it.
	AdvertiseDirect func(broker int, addr string) (string, error)
	// Config adds or overrides lines of every broker's properties.
	Config map[string]string
	// HeapMB bounds each broker's Java heap; 512 by default.
	HeapMB int
	// Controller gives the cluster a controller of its own, so that it outlives the death of all brokers; without it every
	// broker is one of the controllers.
	Controller bool
	// Users, passwords by name, make the brokers secured: they get the Listeners, and rights (see Allow) of their own. Each user
	// may log in by every mechanism.
	Users map[string]string
}

// Kafka is a running cluster. Broker methods act on one member; Kill, Freeze, Thaw, Stop and Restart act on all brokers, not on
// a controller of its own.
type Kafka struct {
	env     *Env
	root    string
	brokers []*Broker
	voters  []*Broker // the controllers
	users   map[string]string
	certs   string // folder of the certificates of secured brokers
}

// Broker is one member of a cluster.
type Broker struct {
	server
	id         int // node.id; one more than its index
	clientPort int
	directPort int
	votePort   int
	secure     map[Listener]int // ports
	advertised string
	// advertisedDirect is where other brokers look for this one.
	advertisedDirect string
}

// Kafka installs the broker if need be, starts a cluster without topics and returns when it answers.
func (e *Env) Kafka(ctx context.Context, o KafkaOptions) (*Kafka, error) {
	if o.Brokers == 0 {
		o.Brokers = 1
	}
	if o.HeapMB == 0 {
		o.HeapMB = 512
	}
	ictx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("not done after %v", installLimit))
	defer cancel()
	root, err := e.cache.kafkaRoot(ictx)
	if err != nil {
		return nil, err
	}
	k := &Kafka{env: e, root: root, users: o.Users}
	members, err := k.members(o)
	if err != nil {
		return nil, err
	}
	if err := k.certify(); err != nil {
		return nil, err
	}
	for _, b := range members {
		if err := k.prepare(ictx, b, o); err != nil {
			return nil, err
		}
		if err := e.onClose(b.close); err != nil {
			return nil, err
		}
	}
	if err := each(members, func(b *Broker) error { return b.start(ctx) }); err != nil {
		return nil, err
	}
	return k, k.addUsers(ctx)
}

// members are the processes of the cluster.
func (k *Kafka) members(o KafkaOptions) ([]*Broker, error) {
	for i := range o.Brokers {
		b, err := k.env.newBroker(i, o)
		if err != nil {
			return nil, err
		}
		k.brokers = append(k.brokers, b)
	}
	if k.voters = k.brokers; !o.Controller {
		return k.brokers, nil
	}
	c, err := k.env.newBroker(o.Brokers, KafkaOptions{})
	k.voters = []*Broker{c}
	return append(k.voters, k.brokers...), err
}

// newBroker reserves ports: they must be known for all members before any configuration is written.
func (e *Env) newBroker(index int, o KafkaOptions) (*Broker, error) {
	name, dir, err := e.newDir("kafka")
	if err != nil {
		return nil, err
	}
	b := &Broker{id: index + 1}
	for _, port := range []*int{&b.clientPort, &b.directPort, &b.votePort} {
		if *port, err = e.ports.reserve(); err != nil {
			return nil, err
		}
	}
	if b.secure, err = e.securePorts(o); err != nil {
		return nil, err
	}
	if b.advertised, err = advertise(o.Advertise, index, loopback(b.clientPort)); err != nil {
		return nil, err
	}
	if b.advertisedDirect, err = advertise(o.AdvertiseDirect, index, loopback(b.directPort)); err != nil {
		return nil, err
	}
	b.server = server{name: name, dir: dir, logPath: filepath.Join(dir, "server.log"), env: e}
	return b, nil
}

// advertise asks which address stands for addr.
func advertise(ask func(int, string) (string, error), broker int, addr string) (string, error) {
	if ask == nil {
		return addr, nil
	}
	a, err := ask(broker, addr)
	if err != nil {
		return "", fmt.Errorf("testenv: find the address to advertise for broker %d: %w", broker, err)
	}
	return a, nil
}

// prepare writes the broker's configuration and its formatted data directory.
func (k *Kafka) prepare(ctx context.Context, b *Broker, o KafkaOptions) error {
	properties := filepath.Join(b.dir, "server.properties")
	if err := writeProperties(properties, k.properties(b, o)); err != nil {
		return err
	}
	template, err := k.env.brokerTemplate(ctx, k.root, b.id)
	if err != nil {
		return err
	}
	if err := run(ctx, b.dir, nil, "cp", "-a", "--reflink=auto", template, filepath.Join(b.dir, "data")); err != nil {
		return fmt.Errorf("testenv: copy the formatted data directory of %s: %w", b.name, err)
	}
	logging := filepath.Join(b.dir, "log4j2.properties")
	if err := writeProperties(logging, logProperties); err != nil {
		return err
	}
	jvm := []string{fmt.Sprintf("-Xmx%dm", o.HeapMB), "-XX:+UseSerialGC", "-Xshare:auto", "-Dlog4j2.configurationFile=" + logging}
	if len(k.brokers) > 1 {
		jvm = append(jvm, "-XX:TieredStopAtLevel=1") // several that start at once take half the time; fast they need not be
	}
	b.argv, err = javaCommand(k.root, append(jvm, "kafka.Kafka", properties)...)
	b.ready = func(ctx context.Context) error { return k.answers(ctx, b) }
	return err
}

// each runs f on every member at once, as those of a cluster wait for each other while starting.
func each(members []*Broker, f func(*Broker) error) error {
	results := make(chan error, len(members))
	for _, b := range members {
		go func() { results <- f(b) }()
	}
	var errs []error
	for range members {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// Addrs are the addresses clients should use, the advertised ones.
func (k *Kafka) Addrs() []string { return k.addrs(func(b *Broker) string { return b.advertised }) }

// Bootstrap is Addrs in one string, separated by commas.
func (k *Kafka) Bootstrap() string { return strings.Join(k.Addrs(), ",") }

// DirectAddrs are a second set of listeners that never lead through a proxy; readers of proofs use them.
func (k *Kafka) DirectAddrs() []string { return k.addrs((*Broker).DirectAddr) }

func (k *Kafka) addrs(of func(*Broker) string) []string {
	var addrs []string
	for _, b := range k.brokers {
		addrs = append(addrs, of(b))
	}
	return addrs
}

// Broker returns one member, numbered from 0; its node.id is one more.
func (k *Kafka) Broker(i int) *Broker { return k.brokers[i] }

// Kill ends every broker with SIGKILL.
func (k *Kafka) Kill() error { return each(k.brokers, (*Broker).Kill) }

// Freeze stops every broker where it is.
func (k *Kafka) Freeze() error { return each(k.brokers, (*Broker).Freeze) }

// Thaw lets frozen brokers run on.
func (k *Kafka) Thaw() error { return each(k.brokers, (*Broker).Thaw) }

// Stop ends every broker in its own way.
func (k *Kafka) Stop(ctx context.Context) error {
	return each(k.brokers, func(b *Broker) error { return b.Stop(ctx) })
}

// Restart brings every broker back on the same ports and data, stopping first those that run.
func (k *Kafka) Restart(ctx context.Context) error {
	return each(k.brokers, func(b *Broker) error { return b.Restart(ctx) })
}

// Addr is where the broker's clients connect; KafkaOptions.Advertise may have put a proxy before it.
func (b *Broker) Addr() string { return loopback(b.clientPort) }

// DirectAddr is the listener that is always advertised as itself.
func (b *Broker) DirectAddr() string { return loopback(b.directPort) }

// Command is the command line that runs a tool of the broker's jars, by its class.
func (k *Kafka) Command(class string, args ...string) ([]string, error) {
	return javaCommand(k.root, append([]string{class}, args...)...)
}
