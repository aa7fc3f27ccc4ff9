package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	meta "github.com/segmentio/kafka-go/protocol/metadata"
)

// DialFunc opens a connection to a broker.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// cluster is the way to the brokers for one line: every request has a
// deadline, and close ends all connections at once, so that nothing of an old
// line lives on. Safe for concurrent use.
type cluster struct {
	cfg       *Config
	readOnly  bool // we write nothing, and need no right to
	addr      net.Addr
	dialer    *dialer
	transport *kafka.Transport
	client    *kafka.Client
	timeout   time.Duration
	ctx       context.Context // ends with close
	cancel    context.CancelFunc

	mu        sync.Mutex
	conns     map[net.Conn]struct{}
	refreshed time.Time
	renewal   time.Time // when connections must be replaced; zero for never
}

// The transport's own defaults are for long-lived consumers: it learns of a
// moved leader only when its metadata expire, so we throw its pools away when a
// request says that they are old (refresh), and keep the regular look rare.
const (
	metadataTTL     = 10 * time.Second
	refreshInterval = 100 * time.Millisecond
	connIdle        = 5 * time.Minute // brokers hang up after ten
)

func newCluster(cfg *Config, dial DialFunc) (*cluster, error) {
	login, err := newLogin(&cfg.SASL)
	if err != nil {
		return nil, err
	}
	c := &cluster{cfg: cfg, addr: bootstrap(cfg.Brokers), timeout: cfg.RequestTimeout, conns: map[net.Conn]struct{}{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	c.dialer = &dialer{cfg: cfg, login: login, expires: c.expires, tcp: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return c.track(conn)
	}}
	c.transport = &kafka.Transport{
		Dial: c.dialer.dial, DialTimeout: cfg.DialTimeout, IdleTimeout: connIdle, MetadataTTL: metadataTTL, ClientID: cfg.ClientID, Context: c.ctx,
	}
	c.client = &kafka.Client{Addr: c.addr, Transport: c}
	return c, nil
}

// track remembers the connection until it is closed.
func (c *cluster) track(conn net.Conn) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		conn.Close()
		return nil, net.ErrClosed
	}
	c.conns[conn] = struct{}{}
	return &trackedConn{conn, c}, nil
}

type trackedConn struct {
	net.Conn
	c *cluster
}

func (t *trackedConn) Close() error {
	t.c.mu.Lock()
	delete(t.c.conns, t.Conn)
	t.c.mu.Unlock()
	return t.Conn.Close()
}

// close ends every connection; requests under way fail.
func (c *cluster) close() {
	c.cancel()
	c.mu.Lock()
	conns := c.conns
	c.conns = map[net.Conn]struct{}{}
	c.mu.Unlock()
	for conn := range conns {
		conn.Close()
	}
	c.transport.CloseIdleConnections()
}

// expires notes that brokers end the session of a connection. They would hang
// up on a request: a time before that the connections are replaced.
func (c *cluster) expires(end time.Time) {
	renewal := time.Now().Add(time.Until(end) * 3 / 4)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renewal.IsZero() || renewal.Before(c.renewal) {
		c.renewal = renewal
	}
}

// RoundTrip implements kafka.RoundTripper.
func (c *cluster) RoundTrip(ctx context.Context, addr net.Addr, req kafka.Request) (kafka.Response, error) {
	c.mu.Lock()
	due := !c.renewal.IsZero() && !time.Now().Before(c.renewal)
	if due {
		c.renewal = time.Time{}
	}
	c.mu.Unlock()
	if due {
		c.transport.CloseIdleConnections() // those in use finish first
	}
	return c.transport.RoundTrip(ctx, addr, req)
}

// refresh makes the next request look up the cluster's layout anew. Calls in
// quick succession count as one.
func (c *cluster) refresh() {
	c.mu.Lock()
	stale := time.Since(c.refreshed) >= refreshInterval
	if stale {
		c.refreshed = time.Now()
	}
	c.mu.Unlock()
	if stale {
		c.transport.CloseIdleConnections()
	}
}

// patiently repeats a request that may be repeated while the cluster says that
// it is not ready: a new topic has no leader for a moment.
func (c *cluster) patiently(ctx context.Context, call func() error) error {
	for attempt := 1; ; attempt++ {
		err := call()
		if err == nil || !errors.As(err, new(kafka.Error)) || verdictOf(err) != again || !sleep(ctx, backoff(attempt)) {
			return err
		}
		c.refresh()
	}
}

// withTimeout bounds one request. The transport must have a deadline: it does
// not wake a connection whose caller left.
func (c *cluster) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

// roundTrip sends one request and waits for its answer.
func (c *cluster) roundTrip(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	res, err := c.RoundTrip(ctx, c.addr, req)
	return res, c.explain(ctx, err)
}

// explain turns an expired deadline into words.
func (c *cluster) explain(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", c.timeout, err)
	}
	return err
}

// metadata returns what the cluster says of the topics, in their order. It may
// be as old as the last refresh.
func (c *cluster) metadata(ctx context.Context, topics ...string) (*meta.Response, error) {
	if topics == nil {
		topics = []string{}
	}
	res, err := c.roundTrip(ctx, &meta.Request{TopicNames: topics})
	if err != nil {
		return nil, err
	}
	return res.(*meta.Response), nil
}

// askForMetadata asks a broker, not the cache, also for what we may do.
func (c *cluster) askForMetadata(ctx context.Context, topics ...string) (*meta.Response, error) {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	res, err := c.dialer.ask(ctx, &meta.Request{TopicNames: topics, IncludeTopicAuthorizedOperations: true})
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return res.(*meta.Response), nil
}

// configs returns settings of a topic or, for kafka.ResourceTypeBroker, of a
// broker by its id.
func (c *cluster) configs(ctx context.Context, kind kafka.ResourceType, name string, keys ...string) (map[string]string, error) {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	res, err := c.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}},
	})
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	out := map[string]string{}
	for _, r := range res.Resources {
		if r.Error != nil {
			return nil, r.Error
		}
		for _, e := range r.ConfigEntries {
			out[e.ConfigName] = e.ConfigValue
		}
	}
	return out, nil
}

// create makes a topic and waits until the brokers know it. It is no error
// when somebody else was faster.
func (c *cluster) create(ctx context.Context, name string, partitions, replication int, config map[string]string) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	t := kafka.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: replication}
	for k, v := range config {
		t.ConfigEntries = append(t.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
	}
	res, err := c.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{t}})
	if err != nil {
		return c.explain(ctx, err)
	}
	if err := res.Errors[name]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return c.denied(err, name)
	}
	return nil
}

func (c *cluster) String() string { return strings.Join(strings.Split(c.addr.String(), ","), ", ") }
