package kafka

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/resilience"
)

const (
	secret      = `s3cret "p@ss" \=1`
	wrongSecret = "an0ther-s3cret"
)

// sessionLife is how long brokers let a login by SCRAM-SHA-256 live.
const sessionLife = "1000"

func TestSecuredBroker(t *testing.T) {
	users := map[string]string{"cdcd": secret}
	for _, refusal := range refusals {
		users[refusal.user] = secret
	}
	b := &realBroker{Kafka: testenv.ForTest(t).Kafka(testenv.KafkaOptions{Users: users, HeapMB: 256, Config: map[string]string{
		"listener.name.sasl.scram-sha-256.connections.max.reauth.ms": sessionLife,
		"connection.failed.authentication.delay.ms":                  "0",
	}})}
	grantAsDocumented(t, b)
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *realBroker)
	}{
		{"deliveries", securedDeliveries},
		{"sessions end", sessionsEnd},
		{"refused connections", refusedConnections},
		{"connection lost in a login", lostLogin},
		{"missing rights", missingRights},
		{"right taken away and given back", rightTakenAway},
		{"files of tls", tlsFiles},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, b) })
	}
}

// grantAsDocumented runs the commands that docs/operations.md gives, with the
// names of this test, for whoever logs in as cdcd or has the certificate.
func grantAsDocumented(t *testing.T, b *realBroker) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), "\\\n", "")
	commands := regexp.MustCompile(`(?m)^kafka-acls\.sh (.*)$`).FindAllStringSubmatch(text, -1)
	if len(commands) == 0 {
		t.Fatal("docs/operations.md has no command for ACLs")
	}
	names := strings.NewReplacer("HOST:PORT", b.DirectAddrs()[0], " cdcd.cdcd.", " cdcd.test.", " shop.", " p")
	var wg sync.WaitGroup
	for _, c := range commands {
		args := append(strings.Fields(names.Replace(c[1])), "--allow-principal", "User:"+testenv.CertificateUser)
		argv, err := b.Command("org.apache.kafka.tools.AclCommand", args...)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%q: %v\n%s", args, err, out)
			}
		})
	}
	wg.Wait()
}

// through makes the configuration for one of the broker's listeners.
func through(b *realBroker, l testenv.Listener, s SASL) func(*Config) {
	return func(c *Config) {
		c.Brokers, c.SASL = []string{b.Broker(0).SecureAddr(l)}, s
		if l != testenv.SASL {
			c.TLS = TLS{Enabled: true, CA: b.CAPath()}
		}
		if l == testenv.MutualTLS {
			c.TLS.Cert, c.TLS.Key = b.ClientCertPath(), b.ClientKeyPath()
		}
	}
}

func securedDeliveries(t *testing.T, b *realBroker) {
	var rigs []*rig
	var topics []string
	for _, tt := range []struct {
		listener testenv.Listener
		sasl     SASL
		delivery string
	}{
		{testenv.TLS, SASL{}, ExactlyOnce},
		{testenv.MutualTLS, SASL{}, ExactlyOnce},
		{testenv.SASLTLS, SASL{"plain", "cdcd", secret}, ExactlyOnce},
		{testenv.SASLTLS, SASL{"scram-sha-512", "cdcd", secret}, AtLeastOnce},
		{testenv.SASL, SASL{"scram-sha-256", "cdcd", secret}, ExactlyOnce},
		{testenv.SASL, SASL{"scram-sha-512", "cdcd", secret}, ExactlyOnce},
	} {
		t.Run(strings.TrimSpace(string(tt.listener)+" "+tt.sasl.Mechanism), func(t *testing.T) {
			r := newRig(t, b, func(c *Config) { through(b, tt.listener, tt.sasl)(c); c.Delivery = tt.delivery })
			rigs, topics = append(rigs, r), append(topics, r.topics...)
			if got := findings(r); got["checkpoint_topic"] != resilience.Good || len(got) != 4 {
				t.Errorf("before the first start: %v", got)
			}
			r.deliver(40, 10)
			r.close()
			r.deliver(80, 1)
			if len(r.errs) > 0 {
				t.Errorf("on a healthy broker: %v", r.errs)
			}
			for code, s := range findings(r) {
				if s != resilience.Good {
					t.Errorf("check finds a %s: %s", s, code)
				}
			}
		})
	}
	recs, err := b.Consume(testContext(t), testenv.ConsumeOptions{Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rigs {
		r.t = t
		r.judge(recs, 80, true)
	}
}

// sessionsEnd: the broker hangs up on whoever stays for longer than a session.
// That would cost a line each time; a busy machine may be late once.
func sessionsEnd(t *testing.T, b *realBroker) {
	r := newRig(t, b, through(b, testenv.SASL, SASL{"scram-sha-256", "cdcd", secret}))
	r.mustOpen()
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		r.goOn(nil, r.next+9, 1)
		time.Sleep(100 * time.Millisecond) // the time is what is tried
	}
	if len(r.errs) > 1 {
		t.Errorf("lines ended: %v", r.errs)
	}
	r.check(r.next - 1)
}

func refusedConnections(t *testing.T, b *realBroker) {
	login := SASL{"scram-sha-512", "cdcd", secret}
	for _, tt := range []struct {
		name     string
		listener testenv.Listener
		sasl     SASL
		change   func(*Config)
		code     string
	}{
		{"another authority", testenv.TLS, SASL{}, func(c *Config) { c.TLS.CA = b.ClientCertPath() }, "tls_verify"},
		{"the system's authorities", testenv.TLS, SASL{}, func(c *Config) { c.TLS.CA = "" }, "tls_verify"},
		{"another name", testenv.TLS, SASL{}, func(c *Config) { c.TLS.ServerName = "kafka.example" }, "tls_verify"},
		{"no client certificate", testenv.MutualTLS, SASL{}, func(c *Config) { c.TLS.Cert, c.TLS.Key = "", "" }, "tls_client_certificate"},
		{"plain to TLS", testenv.TLS, SASL{}, func(c *Config) { c.TLS = TLS{} }, "tls_required"},
		{"plain to mutual TLS", testenv.MutualTLS, SASL{}, func(c *Config) { c.TLS = TLS{} }, "tls_required"},
		{"plain login to TLS", testenv.SASLTLS, login, func(c *Config) { c.TLS = TLS{} }, "tls_required"},
		{"TLS to plain", testenv.SASL, login, func(c *Config) { c.TLS = TLS{Enabled: true, CA: b.CAPath()} }, "tls_unavailable"},
		{"no login", testenv.SASL, SASL{}, nil, "sasl_required"},
		{"no login through TLS", testenv.SASLTLS, SASL{}, nil, "sasl_required"},
		{"login where none is", testenv.TLS, login, nil, "sasl_unavailable"},
		{"another mechanism", testenv.SASL, SASL{"plain", "cdcd", secret}, nil, "sasl_mechanism_unsupported"},
		{"wrong password, plain", testenv.SASLTLS, SASL{"plain", "cdcd", wrongSecret}, nil, "authentication_failed"},
		{"wrong password, SCRAM", testenv.SASL, SASL{"scram-sha-512", "cdcd", wrongSecret}, nil, "authentication_failed"},
		{"unknown user", testenv.SASLTLS, SASL{"scram-sha-512", "nobody", secret}, nil, "authentication_failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, b, func(c *Config) {
				through(b, tt.listener, tt.sasl)(c)
				if tt.change != nil {
					tt.change(c)
				}
			})
			wantRefusal(t, r.open(), tt.code)
			if got := findings(r); got[tt.code] != resilience.Problem || len(got) != 1 {
				t.Errorf("check finds %v", got)
			}
		})
	}
}

// wantRefusal: the error stops the pipeline, says what to do, and keeps the
// passwords to itself.
func wantRefusal(t *testing.T, err error, code string) {
	t.Helper()
	wantError(t, err, resilience.Fatal, code)
	if err != nil {
		noSecret(t, err.Error())
	}
}

func noSecret(t testing.TB, text string) {
	t.Helper()
	for _, s := range []string{secret, wrongSecret} {
		if strings.Contains(text, s) {
			t.Errorf("a password is shown: %s", text)
		}
	}
}

// lostLogin: a broker that dies during a login has not refused it.
func lostLogin(t *testing.T, b *realBroker) {
	p, err := testenv.NewProxy(b.Broker(0).SecureAddr(testenv.SASL), testenv.KafkaProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := newRig(t, b, through(b, testenv.SASL, SASL{"scram-sha-512", "cdcd", secret}))
	r.cfg.Brokers = []string{p.Addr()}
	for _, do := range []testenv.Action{testenv.Cut(0), testenv.Cut(-1)} {
		p.On(&testenv.Rule{Dir: testenv.ToServer, APIKey: testenv.APIKey(int16(protocol.SaslAuthenticate)), Count: 1, Do: do})
		wantError(t, r.open(), resilience.Transient, "kafka_unreachable")
	}
	r.mustOpen()
}

// A refusal is a user that lacks one right, and what comes of it. Data topics
// begin with p, those of checkpoints with cdcd.test.
var refusals = []struct {
	user    string
	allow   func(allow func(kafka.ResourceType, string, ...kafka.ACLOperationType))
	exists  bool // the topics are there already
	code    string
	command []string // parts of the hint
}{
	{"no-rights", func(func(kafka.ResourceType, string, ...kafka.ACLOperationType)) {}, false,
		"topic_not_authorized", []string{"--topic cdcd.test.", ".checkpoint", "--operation Read", "--operation Write", "--operation Create"}},
	{"no-transactional-id", func(allow func(kafka.ResourceType, string, ...kafka.ACLOperationType)) {
		allow(kafka.ResourceTypeTopic, "cdcd.test.", kafka.ACLOperationTypeAll)
	}, false, "transactional_id_not_authorized", []string{"--transactional-id cdcd.test.", "--operation Write"}},
	{"no-checkpoint-read", func(allow func(kafka.ResourceType, string, ...kafka.ACLOperationType)) {
		allow(kafka.ResourceTypeTransactionalID, "cdcd.test.", kafka.ACLOperationTypeWrite)
		allow(kafka.ResourceTypeTopic, "cdcd.test.", kafka.ACLOperationTypeWrite, kafka.ACLOperationTypeCreate)
	}, false, "topic_not_authorized", []string{"--topic cdcd.test.", "--operation Read"}},
	{"no-create", func(allow func(kafka.ResourceType, string, ...kafka.ACLOperationType)) {
		allow(kafka.ResourceTypeTransactionalID, "cdcd.test.", kafka.ACLOperationTypeWrite)
		allow(kafka.ResourceTypeTopic, "cdcd.test.", kafka.ACLOperationTypeAll)
		allow(kafka.ResourceTypeTopic, "p", kafka.ACLOperationTypeWrite)
	}, false, "topic_not_authorized", []string{"--topic p", "--operation Create"}},
	{"no-describe", func(allow func(kafka.ResourceType, string, ...kafka.ACLOperationType)) {
		allow(kafka.ResourceTypeTransactionalID, "cdcd.test.", kafka.ACLOperationTypeWrite)
		allow(kafka.ResourceTypeTopic, "cdcd.test.", kafka.ACLOperationTypeAll)
		allow(kafka.ResourceTypeTopic, "p", kafka.ACLOperationTypeCreate)
	}, true, "topic_not_authorized", []string{"--topic p", "--operation Write"}},
	{"no-write", func(allow func(kafka.ResourceType, string, ...kafka.ACLOperationType)) {
		allow(kafka.ResourceTypeTransactionalID, "cdcd.test.", kafka.ACLOperationTypeWrite)
		allow(kafka.ResourceTypeTopic, "cdcd.test.", kafka.ACLOperationTypeAll)
		allow(kafka.ResourceTypeTopic, "p", kafka.ACLOperationTypeDescribe)
	}, true, "topic_not_authorized", []string{"--topic p", "--operation Write"}},
}

func missingRights(t *testing.T, b *realBroker) {
	for _, tt := range refusals {
		for _, delivery := range []string{ExactlyOnce, AtLeastOnce} {
			t.Run(tt.user+" "+delivery, func(t *testing.T) {
				tt.allow(func(kind kafka.ResourceType, prefix string, operations ...kafka.ACLOperationType) {
					if err := b.Allow(t.Context(), tt.user, kind, prefix, operations...); err != nil {
						t.Fatal(err)
					}
				})
				r := newRig(t, b, func(c *Config) {
					through(b, testenv.SASL, SASL{"scram-sha-512", tt.user, secret})(c)
					c.Delivery = delivery
				})
				if tt.exists {
					makeTopics(t, b, r)
				}
				err := r.open()
				if err == nil {
					err = r.send(10, 1)
				}
				wantRefusal(t, err, tt.code)
				for _, part := range append(tt.command, "--allow-principal 'User:"+tt.user+"'") {
					if hint := resilience.HintOf(err); !strings.Contains(hint, part) {
						t.Errorf("the hint does not have %q: %s", part, hint)
					}
				}
				// What only the first row tells, check cannot know either.
				if got := findings(r); !strings.Contains(tt.command[0], "--topic p") && got[tt.code] != resilience.Problem {
					t.Errorf("check finds %v", got)
				}
				r.sink.Close(testContext(t))
				r.sink = nil
			})
		}
	}
}

func makeTopics(t *testing.T, b *realBroker, r *rig) {
	t.Helper()
	for _, name := range r.topics {
		if err := b.CreateTopics(t.Context(), testenv.Topic{Name: name, Partitions: r.cfg.CreateTopics.Partitions}); err != nil {
			t.Fatal(err)
		}
	}
}

// rightTakenAway: rules are replaced by others now and then. A pipeline that
// has delivered waits for the new ones.
func rightTakenAway(t *testing.T, b *realBroker) {
	r := newRig(t, b, through(b, testenv.MutualTLS, SASL{}))
	r.deliver(10, 1)
	client := &kafka.Client{Addr: kafka.TCP(b.DirectAddrs()...), Timeout: 30 * time.Second}
	res, err := client.DeleteACLs(t.Context(), &kafka.DeleteACLsRequest{Filters: []kafka.DeleteACLsFilter{{
		ResourceTypeFilter: kafka.ResourceTypeTopic, ResourceNameFilter: "p", ResourcePatternTypeFilter: kafka.PatternTypePrefixed,
		PrincipalFilter: "User:" + testenv.CertificateUser, Operation: kafka.ACLOperationTypeWrite, PermissionType: kafka.ACLPermissionTypeAllow,
	}}})
	if err != nil || len(res.Results) != 1 || len(res.Results[0].MatchingACLs) != 1 {
		t.Fatal(res, err)
	}
	for range 50 { // the broker hears of it a moment later
		if err = r.send(r.next+9, 1); err != nil {
			break
		}
	}
	wantError(t, err, resilience.Transient, "topic_not_authorized")
	if got := findings(r); got["topic_not_authorized"] != resilience.Problem {
		t.Errorf("check finds %v", got)
	}
	if err := b.Allow(t.Context(), testenv.CertificateUser, kafka.ResourceTypeTopic, "p", kafka.ACLOperationTypeWrite); err != nil {
		t.Fatal(err)
	}
	to := r.next + 20
	r.deliver(to, 1)
	r.check(to)
}

// tlsFiles: what a file holds counts when a connection is made, and a file that
// is no good stops a start, by name.
func tlsFiles(t *testing.T, b *realBroker) {
	r := newRig(t, b, through(b, testenv.TLS, SASL{}))
	good, err := os.ReadFile(b.CAPath())
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.TLS.CA = t.TempDir() + "/ca.pem"
	wantRefusal(t, r.open(), "tls_files")
	write := func(text []byte) {
		if err := os.WriteFile(r.cfg.TLS.CA, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("nothing"))
	wantRefusal(t, r.open(), "tls_files")
	write(good)
	r.deliver(10, 1)
	write([]byte("nothing"))
	_, err = r.sink.Connect(testContext(t), r.term, checkpoint.Checkpoint{})
	wantError(t, err, resilience.Transient, "tls_files")
	write(good)
	r.deliver(20, 1)
	r.check(20)
}

func TestPasswordThatScramDoesNotTakeIsNotShown(t *testing.T) {
	c := DefaultConfig()
	c.Brokers, c.SASL = []string{"127.0.0.1:1"}, SASL{"scram-sha-256", "cdcd", wrongSecret + "\x07"}
	err := c.Validate()
	if err == nil || !strings.HasPrefix(err.Error(), "sasl.password: ") {
		t.Errorf("validation says %v", err)
	}
	noSecret(t, errors.Join(err, errors.New("")).Error())
}
