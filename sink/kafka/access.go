package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	kafka "github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/resilience"
)

// tlsFailed gives a failed TLS handshake its meaning.
func (d *dialer) tlsFailed(ctx context.Context, address string, err error) error {
	if named := tlsError(address, err); named != nil {
		return named
	}
	if !hungUp(err) && !errors.As(err, new(tls.RecordHeaderError)) {
		return err
	}
	if conn, e := d.connect(ctx, address); e == nil {
		defer conn.Close()
		if greet(d.speak(conn)) == nil {
			return refused("tls_unavailable", address, fmt.Errorf("the broker does not encrypt on this port: %w", err),
				"use the brokers' TLS port, or set tls.enabled: false")
		}
	}
	return err
}

// greetFailed gives a failed first request its meaning.
func (d *dialer) greetFailed(ctx context.Context, address string, err error) error {
	if d.cfg.TLS.Enabled {
		if named := tlsError(address, err); named != nil {
			return named
		}
		return err
	}
	if hungUp(err) && d.encrypts(ctx, address) {
		return refused("tls_required", address, fmt.Errorf("the broker wants TLS on this port: %w", err),
			"set tls: {enabled: true}, or use a plain port of the brokers")
	}
	return err
}

// encrypts tells whether TLS is spoken there; nothing is sent through it.
func (d *dialer) encrypts(ctx context.Context, address string) bool {
	conn, err := d.connect(ctx, address)
	if err != nil {
		return false
	}
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	_, alert := alertOf(err)
	return err == nil || alert
}

// hungUp tells that the other side closed the connection instead of answering.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func refused(code, at string, err error, hint string) *resilience.Error {
	return &resilience.Error{Class: resilience.Fatal, Code: code, Op: "connect", At: at, Err: err, Hint: hint}
}

const (
	hintVerify = "the broker's certificate is not trusted: set tls.ca to the file of the authority that signed it, and tls.server_name if it is made out to another name"
	hintFiles  = "tls.ca, tls.cert and tls.key must name readable PEM files, and the key must be that of the certificate"
	hintClient = "the broker wants a certificate of ours that it trusts: set tls.cert and tls.key, or have it signed by an authority in the brokers' trust store; see that it has not expired"
	hintShake  = "broker and sink share no TLS version or cipher: TLS 1.2 or later is needed (ssl.enabled.protocols); or the broker misses a client certificate: tls.cert"
)

var errTLSFiles = errors.New("the files of tls cannot be used")

// tlsError names what waiting does not heal; nil for the rest.
func tlsError(address string, err error) error {
	var unknownCA x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var verify *tls.CertificateVerificationError
	if errors.As(err, &unknownCA) || errors.As(err, &wrongName) || errors.As(err, &verify) {
		return refused("tls_verify", address, err, hintVerify)
	}
	if errors.Is(err, errTLSFiles) {
		return refused("tls_files", address, err, hintFiles)
	}
	switch alert, _ := alertOf(err); alert {
	case 42, 43, 44, 45, 46, 48, 49, 116: // about our certificate, or that there is none
		return refused("tls_client_certificate", address, err, hintClient)
	case 40, 70, 71:
		return refused("tls_handshake", address, err, hintShake)
	}
	return nil
}

// alertOf returns the TLS alert with which the other side ended a connection.
func alertOf(err error) (alert uint8, ok bool) {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return 0, false
	}
	for n := range 256 {
		if tls.AlertError(n).Error() == remote.Err.Error() {
			return uint8(n), true
		}
	}
	return 0, true
}

// denial is a refused authorization with the command that grants it.
type denial struct {
	error
	hint string
}

func (d *denial) Unwrap() error { return d.error }

// denied adds to a refused authorization what grants it; other errors stay as
// they are. topic may be empty where the request was about none.
func (c *cluster) denied(err error, topic string) error {
	switch {
	case errors.As(err, new(*denial)):
	case errors.Is(err, kafka.TopicAuthorizationFailed) && topic != "":
		return &denial{err, c.grant("topic", topic, c.topicRights(topic)...)}
	case errors.Is(err, kafka.TransactionalIDAuthorizationFailed):
		return &denial{err, c.grant("transactional-id", c.cfg.transactionalID(), "Write")}
	case errors.Is(err, kafka.ClusterAuthorizationFailed):
		return &denial{err, c.grant("cluster", "", "IdempotentWrite")}
	}
	return err
}

// topicRights are all operations that we do on a topic, so that one command is
// enough. Write and Read include Describe.
func (c *cluster) topicRights(topic string) []string {
	if c.readOnly {
		return []string{"Read"}
	}
	rights := []string{"Read", "Write", "DescribeConfigs"}
	if topic == c.cfg.checkpointTopic() || c.cfg.CreateTopics.Enabled {
		rights = append(rights, "Create")
	}
	return rights
}

// grant is the command that allows us operations on a resource.
func (c *cluster) grant(kind, name string, operations ...string) string {
	s := fmt.Sprintf("kafka-acls.sh --bootstrap-server HOST:PORT --add --allow-principal '%s' --%s", c.cfg.principal(), kind)
	if name != "" {
		s += " " + name
	}
	for _, o := range operations {
		s += " --operation " + o
	}
	return s
}

// principal is the name that brokers know us by, unless they have rules of
// their own that change it.
func (c *Config) principal() string {
	if c.SASL.User != "" {
		return "User:" + c.SASL.User
	}
	if c.TLS.Cert != "" {
		if pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key); err == nil && pair.Leaf != nil {
			return "User:" + pair.Leaf.Subject.String()
		}
	}
	return "User:ANONYMOUS"
}

// accessCodes are the errors by which a start must fail at once, since somebody
// mistyped.
var accessCodes = map[string]bool{
	"tls_verify": true, "tls_files": true, "tls_client_certificate": true, "tls_handshake": true, "tls_required": true, "tls_unavailable": true,
	"sasl_required": true, "sasl_unavailable": true, "sasl_mechanism_unsupported": true, "authentication_failed": true, "broker_not_authentic": true,
	"topic_not_authorized": true, "cluster_not_authorized": true, "transactional_id_not_authorized": true,
}

// patient makes refused access Transient once this sink has delivered:
// passwords and certificates rotate, rules are replaced by others, and whoever
// does that should not have to wake the pipeline too.
func (s *Sink) patient(err error) error { return patient(err, s.delivered.Load()) }

func patient(err error, delivered bool) error {
	var e *resilience.Error
	if !delivered || !errors.As(err, &e) || e.Class != resilience.Fatal || !accessCodes[e.Code] {
		return err
	}
	waits := *e
	waits.Class = resilience.Transient
	return &waits
}
