package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

// bootstrap is the configured list of brokers as an address. The transport
// tries its members in random order until one is open.
type bootstrap []string

// bootstrapNet tells the dialer that there are others to try.
const bootstrapNet = "bootstrap"

// Network implements net.Addr: one word per address, as the transport wants it.
func (b bootstrap) Network() string {
	return strings.TrimSuffix(strings.Repeat(bootstrapNet+",", len(b)), ",")
}

// String implements net.Addr.
func (b bootstrap) String() string { return strings.Join(b, ",") }

// dialer opens connections that are ready for requests: encrypted, answered by
// a broker, logged in. The transport could do that too, but it takes a broker
// that dies during a login for one that refuses it, and gives an address that
// does not answer all the time there is.
type dialer struct {
	cfg     *Config
	tcp     DialFunc
	login   *login
	expires func(time.Time) // when the brokers end a session, where they do
}

// dial is the transport's way to a broker.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network == bootstrapNet {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.share())
		defer cancel()
	}
	conn, err := d.open(ctx, address)
	if err != nil {
		return nil, err
	}
	if err := d.login.do(ctx, d.speak(conn), address, d.expires); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// share is the part of the dial time-out that one of several brokers gets, so
// that the others have theirs when it hangs.
func (d *dialer) share() time.Duration {
	const enough = 2 * time.Second
	all := d.cfg.DialTimeout
	return max(all/time.Duration(max(len(d.cfg.Brokers), 1)), min(all, enough))
}

// open connects, encrypts, and waits until a broker has said that it is one.
// The connection has the deadline of ctx.
func (d *dialer) open(ctx context.Context, address string) (net.Conn, error) {
	conn, err := d.connect(ctx, address)
	if err != nil {
		return nil, err
	}
	if d.cfg.TLS.Enabled {
		encrypted, err := d.encrypt(ctx, conn, address)
		if err != nil {
			conn.Close()
			return nil, d.tlsFailed(ctx, address, err)
		}
		conn = encrypted
	}
	if err := greet(d.speak(conn)); err != nil {
		conn.Close()
		return nil, d.greetFailed(ctx, address, err)
	}
	return conn, nil
}

func (d *dialer) connect(ctx context.Context, address string) (net.Conn, error) {
	conn, err := d.tcp(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline)
	}
	return conn, err
}

// encrypt reads the files of the configuration each time, so that renewed
// certificates are taken up.
func (d *dialer) encrypt(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	c, err := d.cfg.TLS.config(address)
	if err != nil {
		return nil, err
	}
	t := tls.Client(conn, c)
	return t, t.HandshakeContext(ctx)
}

func (d *dialer) speak(conn net.Conn) *protocol.Conn {
	pc := protocol.NewConn(conn, d.cfg.ClientID)
	pc.SetVersions(ownVersions)
	return pc
}

// ownVersions are those of the requests that do not go through the transport;
// all brokers from Kafka 2.5 on know them.
var ownVersions = map[protocol.ApiKey]int16{
	protocol.SaslHandshake: 1, protocol.SaslAuthenticate: 1, protocol.Metadata: 8, protocol.CreateTopics: 5, protocol.EndTxn: 1,
}

// greet asks what every broker answers, whoever asks.
func greet(pc *protocol.Conn) error {
	res, err := pc.RoundTrip(&apiversions.Request{})
	if err != nil {
		return err
	}
	if code := res.(*apiversions.Response).ErrorCode; code != 0 {
		return fmt.Errorf("ask for versions: %w", kafka.Error(code))
	}
	return nil
}

// ask sends one request to any of the brokers, past the transport, which
// answers some from its cache.
func (d *dialer) ask(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	var last error
	for _, i := range rand.Perm(len(d.cfg.Brokers)) {
		conn, err := d.dial(ctx, bootstrapNet, d.cfg.Brokers[i])
		if err != nil {
			last = err
			continue
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			_ = conn.SetDeadline(deadline)
		}
		return d.speak(conn).RoundTrip(req)
	}
	return nil, last
}
