package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"

	"github.com/cdcd-io/cdcd/resilience"
)

// handshakeError is what a client of ours meets at a server.
func handshakeError(t *testing.T, server *tls.Config) error {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		_ = tls.Server(theirs, server).HandshakeContext(context.Background())
	}()
	roots := x509.NewCertPool()
	cert, _ := x509.ParseCertificate(der)
	roots.AddCert(cert)
	conn := tls.Client(ours, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "a", RootCAs: roots})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // with TLS 1.3 a server judges us later
	return err
}

func TestAlertsHaveTheirCode(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server *tls.Config
		code   string
	}{
		{"an old version only", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "tls_handshake"},
		{"certificate wanted", &tls.Config{ClientAuth: tls.RequireAnyClientCert}, "tls_client_certificate"},
		// TLS 1.2 has no word for it; the hint names both.
		{"certificate wanted, TLS 1.2", &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, "tls_handshake"},
		{"all is well", &tls.Config{}, ""},
	} {
		err := handshakeError(t, tt.server)
		if got := resilience.CodeOf(tlsError("a:1", err)); got != tt.code {
			t.Errorf("%s: %v becomes %q, want %q", tt.name, err, got, tt.code)
		}
	}
}

// brokerAnswering answers the requests of one connection with what answer says,
// and hangs up at nil.
func brokerAnswering(t *testing.T, answer func(protocol.Message) protocol.Message) *protocol.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	t.Cleanup(func() { ours.Close(); <-ended })
	go func() {
		defer close(ended)
		defer theirs.Close()
		for {
			version, id, _, req, err := protocol.ReadRequest(theirs)
			if err != nil {
				return
			}
			res := answer(req)
			if res == nil || protocol.WriteResponse(theirs, version, id, res) != nil {
				return
			}
		}
	}()
	return (&dialer{cfg: &Config{}}).speak(ours)
}

func TestLoginTellsARefusalFromADeath(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(protocol.Message) protocol.Message
		class  resilience.Class
		code   string
	}{
		{"dies at once", func(protocol.Message) protocol.Message { return nil }, resilience.Transient, "kafka_unreachable"},
		{"dies in the middle", func(m protocol.Message) protocol.Message {
			if _, first := m.(*saslhandshake.Request); first {
				return &saslhandshake.Response{}
			}
			return nil
		}, resilience.Transient, "kafka_unreachable"},
		{"refuses", func(m protocol.Message) protocol.Message {
			if _, first := m.(*saslhandshake.Request); first {
				return &saslhandshake.Response{}
			}
			return &saslauthenticate.Response{ErrorCode: 58, ErrorMessage: "no"}
		}, resilience.Fatal, "authentication_failed"},
		{"knows nothing", func(m protocol.Message) protocol.Message {
			if _, first := m.(*saslhandshake.Request); first {
				return &saslhandshake.Response{}
			}
			return &saslauthenticate.Response{AuthBytes: []byte("r=other,s=QSXCR+Q6sek8bf92,i=4096")}
		}, resilience.Fatal, "broker_not_authentic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := newLogin(&SASL{"scram-sha-256", "cdcd", wrongSecret})
			if err != nil {
				t.Fatal(err)
			}
			err = l.do(t.Context(), brokerAnswering(t, tt.answer), "a:1", func(time.Time) {})
			err = classify(err, "connect", "a:1")
			wantError(t, err, tt.class, tt.code)
			noSecret(t, err.Error())
		})
	}
}

func TestReadablePasswordIsToldOf(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		e := &examination{cfg: &Config{SASL: SASL{"plain", "cdcd", secret}, TLS: TLS{Enabled: encrypted}}}
		if e.readablePassword(); (len(e.findings) == 1) == encrypted {
			t.Errorf("encrypted %v: %v", encrypted, e.findings)
		}
	}
}

func TestHungUpIsNotTimedOut(t *testing.T) {
	for err, want := range map[error]bool{io.EOF: true, io.ErrUnexpectedEOF: true, os.ErrDeadlineExceeded: false, context.Canceled: false} {
		if hungUp(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
	if named := tlsError("a:1", errors.New("connection refused")); named != nil {
		t.Error(named)
	}
}

// One of several addresses gets a share of the time, one alone all of it.
func TestShareOfTheDialTimeout(t *testing.T) {
	for _, tt := range []struct {
		brokers     int
		all, single time.Duration
	}{
		{1, 5 * time.Second, 5 * time.Second}, {3, 5 * time.Second, 2 * time.Second}, {3, 30 * time.Second, 10 * time.Second},
		{10, time.Second, time.Second},
	} {
		d := &dialer{cfg: &Config{Brokers: make([]string, tt.brokers), DialTimeout: tt.all}}
		if got := d.share(); got != tt.single {
			t.Errorf("%d brokers, %s: %s", tt.brokers, tt.all, got)
		}
	}
	b := bootstrap{"a:1", "b:2"}
	if strings.Count(b.Network(), ",") != strings.Count(b.String(), ",") {
		t.Errorf("%q has a word for each of %q", b.Network(), b)
	}
}
