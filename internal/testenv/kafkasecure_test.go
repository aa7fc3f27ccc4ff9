package testenv

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

func TestSecuredBrokerTellsClientsApart(t *testing.T) {
	start := time.Now()
	k := ForTest(t).Kafka(KafkaOptions{Users: map[string]string{"ada": `p "q" 1=2`}})
	t.Logf("up after %v", time.Since(start))
	if err := k.CreateTopics(t.Context(), Topic{Name: "shop.a"}, Topic{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ada", CertificateUser} {
		if err := k.Allow(t.Context(), user, kafka.ResourceTypeTopic, "shop.", kafka.ACLOperationTypeDescribe); err != nil {
			t.Fatal(err)
		}
	}
	trust, mutual := clientTLS(t, k, false), clientTLS(t, k, true)
	scram256, err := scram.Mechanism(scram.SHA256, "ada", `p "q" 1=2`)
	if err != nil {
		t.Fatal(err)
	}
	scram512, err := scram.Mechanism(scram.SHA512, "ada", `p "q" 1=2`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		listener Listener
		tls      *tls.Config
		sasl     sasl.Mechanism
		topics   int // that the client may see
	}{
		{TLS, trust, nil, 2},
		{MutualTLS, mutual, nil, 1},
		{SASL, nil, scram256, 1},
		{SASL, nil, scram512, 1},
		{SASLTLS, trust, plain.Mechanism{Username: "ada", Password: `p "q" 1=2`}, 1},
		{SASLTLS, trust, scram512, 1},
		{TLS, nil, nil, -1},
		{MutualTLS, trust, nil, -1},
		{SASL, nil, nil, -1},
		{SASLTLS, trust, plain.Mechanism{Username: "ada", Password: "wrong"}, -1},
	} {
		n, err := visibleTopics(t, k.Broker(0).SecureAddr(tt.listener), &kafka.Transport{TLS: tt.tls, SASL: tt.sasl})
		if n != tt.topics || (err != nil) != (tt.topics < 0) {
			t.Errorf("%s: %d topics, %v", tt.listener, n, err)
		}
	}
}

func clientTLS(t *testing.T, k *Kafka, certificate bool) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(k.CAPath())
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AppendCertsFromPEM(ca)
	if certificate {
		pair, err := tls.LoadX509KeyPair(k.ClientCertPath(), k.ClientKeyPath())
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

func visibleTopics(t *testing.T, addr string, transport *kafka.Transport) (int, error) {
	defer transport.CloseIdleConnections()
	c := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport, Timeout: 10 * time.Second}
	meta, err := c.Metadata(t.Context(), &kafka.MetadataRequest{})
	if err != nil {
		return -1, err
	}
	if len(meta.Brokers) == 0 {
		return -1, errors.New("no brokers")
	}
	return len(meta.Topics), nil
}

func TestBrokersDieAndTheirControllerStays(t *testing.T) {
	start := time.Now()
	k := ForTest(t).Kafka(KafkaOptions{Brokers: 2, HeapMB: 256, Controller: true})
	t.Logf("up after %v", time.Since(start))
	if err := k.CreateTopics(t.Context(), Topic{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	produce(t, k, "shop", kafka.Record{Value: kafka.NewBytes([]byte("1"))})
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	if err := k.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("back after %v", time.Since(start))
	expect(t, k, ConsumeOptions{Topics: []string{"shop"}, Count: 1}, "1")
}
