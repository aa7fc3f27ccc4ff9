package testenv

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"

	"github.com/segmentio/kafka-go"
)

// Listener is one of the ways into a secured broker, beside the plain ones. Who comes without a name, by the plain ones or by
// TLS, may do anything; users and holders of certificates may do what Allow gave them.
type Listener string

const (
	TLS       Listener = "TLS"       // encrypted
	MutualTLS Listener = "MUTUALTLS" // insists on a certificate of the client; its name is CertificateUser
	SASL      Listener = "SASL"      // plain, with a login by SCRAM-SHA-256 or SCRAM-SHA-512
	SASLTLS   Listener = "SASLTLS"   // encrypted, with a login by PLAIN or SCRAM-SHA-512
)

// CertificateUser is the name of whoever comes with the client certificate, as ACLs have it.
const CertificateUser = "CN=testenv client"

var listeners = map[Listener]struct{ protocol, mechanisms string }{
	TLS:       {"SSL", ""},
	MutualTLS: {"SSL", ""},
	SASL:      {"SASL_PLAINTEXT", "SCRAM-SHA-256,SCRAM-SHA-512"},
	SASLTLS:   {"SASL_SSL", "PLAIN,SCRAM-SHA-512"},
}

func (l Listener) protocol() string { return listeners[l].protocol }

// SecureAddr is where a secured broker listens in that way.
func (b *Broker) SecureAddr(l Listener) string { return loopback(b.secure[l]) }

// CAPath is the certificate that signed those of the secured brokers, which are good for 127.0.0.1 and localhost.
func (k *Kafka) CAPath() string { return filepath.Join(k.certs, caFile) }

// ClientCertPath is the certificate of CertificateUser.
func (k *Kafka) ClientCertPath() string { return filepath.Join(k.certs, clientCertFile) }

// ClientKeyPath is the key of ClientCertPath.
func (k *Kafka) ClientKeyPath() string { return filepath.Join(k.certs, clientKeyFile) }

func (e *Env) securePorts(o KafkaOptions) (map[Listener]int, error) {
	ports := map[Listener]int{}
	if o.Users == nil {
		return ports, nil
	}
	for l := range listeners {
		port, err := e.ports.reserve()
		if err != nil {
			return nil, err
		}
		ports[l] = port
	}
	return ports, nil
}

// keyStoreFile holds a broker's key and certificate, as Kafka wants them: in one file.
const keyStoreFile = "server.pem"

// certify makes the certificates that all brokers of the cluster share.
func (k *Kafka) certify() error {
	if k.users == nil {
		return nil
	}
	k.certs = filepath.Join(k.brokers[0].dir, "certificates")
	if err := os.Mkdir(k.certs, 0o755); err != nil {
		return fmt.Errorf("testenv: make a folder for certificates: %w", err)
	}
	if err := makeCertificates(k.certs); err != nil {
		return fmt.Errorf("testenv: make certificates: %w", err)
	}
	var store []byte
	for _, name := range []string{serverKeyFile, serverCertFile} {
		text, err := os.ReadFile(filepath.Join(k.certs, name))
		if err != nil {
			return fmt.Errorf("testenv: make a key store: %w", err)
		}
		store = append(store, text...)
	}
	if err := os.WriteFile(filepath.Join(k.certs, keyStoreFile), store, 0o600); err != nil {
		return fmt.Errorf("testenv: make a key store: %w", err)
	}
	return nil
}

// secure adds what makes a member a secured one.
func (k *Kafka) secure(p map[string]string) {
	if k.users == nil {
		return
	}
	p["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
	p["super.users"] = "User:ANONYMOUS"
	p["ssl.keystore.type"], p["ssl.keystore.location"] = "PEM", filepath.Join(k.certs, keyStoreFile)
	p["ssl.truststore.type"], p["ssl.truststore.location"] = "PEM", k.CAPath()
	p["listener.name.mutualtls.ssl.client.auth"] = "required"
	for l, is := range listeners {
		if is.mechanisms == "" {
			continue
		}
		of := "listener.name." + strings.ToLower(string(l)) + "."
		p[of+"sasl.enabled.mechanisms"] = is.mechanisms
		for _, mechanism := range strings.Split(is.mechanisms, ",") {
			p[of+strings.ToLower(mechanism)+".sasl.jaas.config"] = k.loginModule(mechanism)
		}
	}
}

// loginModule is where a broker finds users: those for PLAIN are part of the configuration, those for SCRAM of the cluster's
// metadata.
func (k *Kafka) loginModule(mechanism string) string {
	if mechanism != "PLAIN" {
		return "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	}
	module := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for name, password := range k.users {
		module += fmt.Sprintf(" user_%s=%q", name, password)
	}
	return module + ";"
}

// addUsers makes the users known for SCRAM, one mechanism at a time, as the brokers want it.
func (k *Kafka) addUsers(ctx context.Context) error {
	if len(k.users) == 0 {
		return nil
	}
	return errors.Join(k.addUsersFor(ctx, kafka.ScramMechanismSha256, sha256.New), k.addUsersFor(ctx, kafka.ScramMechanismSha512, sha512.New))
}

func (k *Kafka) addUsersFor(ctx context.Context, mechanism kafka.ScramMechanism, of func() hash.Hash) error {
	request := &kafka.AlterUserScramCredentialsRequest{}
	for name, password := range k.users {
		user, err := scramUser(name, password, mechanism, of)
		if err != nil {
			return fmt.Errorf("testenv: salt a password: %w", err)
		}
		request.Upsertions = append(request.Upsertions, user)
	}
	return k.withClient(k.DirectAddrs(), func(c *kafka.Client) error {
		response, err := c.AlterUserScramCredentials(ctx, request)
		if err != nil {
			return fmt.Errorf("testenv: add users: %w", err)
		}
		for _, r := range response.Results {
			if r.Error != nil {
				return fmt.Errorf("testenv: add user %s: %w", r.User, r.Error)
			}
		}
		return nil
	})
}

func scramUser(name, password string, mechanism kafka.ScramMechanism, of func() hash.Hash) (kafka.UserScramCredentialsUpsertion, error) {
	const iterations = 4096 // the fewest that brokers take
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(of, password, salt, iterations, of().Size())
	return kafka.UserScramCredentialsUpsertion{Name: name, Mechanism: mechanism, Iterations: iterations, Salt: salt, SaltedPassword: salted}, err
}

// Allow lets a user do operations on every resource of a kind whose name begins with prefix.
func (k *Kafka) Allow(ctx context.Context, user string, kind kafka.ResourceType, prefix string, operations ...kafka.ACLOperationType) error {
	request := &kafka.CreateACLsRequest{}
	for _, operation := range operations {
		request.ACLs = append(request.ACLs, kafka.ACLEntry{
			Principal: "User:" + user, Host: "*", PermissionType: kafka.ACLPermissionTypeAllow, Operation: operation,
			ResourceType: kind, ResourceName: prefix, ResourcePatternType: kafka.PatternTypePrefixed,
		})
	}
	return k.withClient(k.DirectAddrs(), func(c *kafka.Client) error {
		response, err := c.CreateACLs(ctx, request)
		if err != nil {
			return fmt.Errorf("testenv: allow %s: %w", user, err)
		}
		for _, err := range response.Errors {
			if err != nil {
				return fmt.Errorf("testenv: allow %s: %w", user, err)
			}
		}
		return nil
	})
}
