package kafka

import (
	"context"
	"fmt"
	"strings"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"

	"github.com/cdcd-io/cdcd/resilience"
)

// login proves to a broker who we are. A nil one has nothing to prove.
type login struct {
	mechanism sasl.Mechanism
	user      string
}

func newLogin(s *SASL) (*login, error) {
	m, err := s.mechanism()
	if m == nil || err != nil {
		return nil, err
	}
	return &login{m, s.User}, nil
}

// do goes through the steps of the mechanism. Errors name the user and never
// hold the password.
func (l *login) do(ctx context.Context, pc *protocol.Conn, address string, expires func(time.Time)) error {
	if l == nil {
		return nil
	}
	if err := l.steps(ctx, pc, expires); err != nil {
		return fmt.Errorf("log in at %s as %s by %s: %w", address, l.user, l.mechanism.Name(), err)
	}
	return nil
}

func (l *login) steps(ctx context.Context, pc *protocol.Conn, expires func(time.Time)) error {
	offer, err := handshake(pc, l.mechanism.Name())
	if err != nil {
		return err
	}
	if code := kafka.Error(offer.ErrorCode); code == kafka.UnsupportedSASLMechanism {
		return &answer{code, "the broker takes " + strings.Join(offer.Mechanisms, ", ")}
	} else if code != 0 {
		return code
	}
	state, words, err := l.mechanism.Start(ctx)
	for done := false; err == nil && !done; {
		var res *saslauthenticate.Response
		if res, err = authenticate(pc, words); err != nil {
			break
		}
		if res.SessionLifetimeMs > 0 {
			expires(time.Now().Add(time.Duration(res.SessionLifetimeMs) * time.Millisecond))
		}
		if done, words, err = state.Next(ctx, res.AuthBytes); err != nil {
			err = impostor(err)
		}
	}
	return err
}

// impostor is the error of a broker that cannot prove that it knows the
// password, or does not keep to the mechanism.
func impostor(err error) error {
	return resilience.Errorf(resilience.Fatal, "broker_not_authentic", "log in", "the broker's part of the login is wrong: %w", err).
		WithHint("the broker does not know this user's password, or is no broker of this cluster: check brokers of this sink")
}

func handshake(pc *protocol.Conn, mechanism string) (*saslhandshake.Response, error) {
	res, err := pc.RoundTrip(&saslhandshake.Request{Mechanism: mechanism})
	if err != nil {
		return nil, err
	}
	return res.(*saslhandshake.Response), nil
}

func authenticate(pc *protocol.Conn, words []byte) (*saslauthenticate.Response, error) {
	m, err := pc.RoundTrip(&saslauthenticate.Request{AuthBytes: words})
	if err != nil {
		return nil, err
	}
	res := m.(*saslauthenticate.Response)
	if res.ErrorCode != 0 {
		return nil, &answer{kafka.Error(res.ErrorCode), res.ErrorMessage}
	}
	return res, nil
}

// loginWanted finds out whether the brokers hang up on us because we did not
// log in: they then take the first step of a login.
func (d *dialer) loginWanted(ctx context.Context, cause error) error {
	if d.login != nil || !hungUp(cause) {
		return cause
	}
	for _, address := range d.cfg.Brokers {
		conn, err := d.open(ctx, address)
		if err != nil {
			continue
		}
		defer conn.Close()
		offer, err := handshake(d.speak(conn), "PLAIN")
		if err == nil && (offer.ErrorCode == 0 || kafka.Error(offer.ErrorCode) == kafka.UnsupportedSASLMechanism) {
			return resilience.Errorf(resilience.Fatal, "sasl_required", "connect", "the broker wants a login, by %s: %w", strings.Join(offer.Mechanisms, " or "), cause).
				WithPlace("%s", address).WithHint("set sasl of this sink, or use a port of the brokers that wants none")
		}
	}
	return cause
}
