package protocol_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/cacheaside/protocol"
	"github.com/cdcd-io/cdcd/internal/testenv"
)

// TestScriptsDoWhatTheFunctionsSay runs random steps in Redis and in Go: the
// explorer's proof is about the functions.
func TestScriptsDoWhatTheFunctionsSay(t *testing.T) {
	env := testenv.ForTest(t)
	for _, f := range testenv.RedisFlavors {
		t.Run(f.String(), func(t *testing.T) {
			c := env.Redis(testenv.RedisOptions{Flavor: f}).Client()
			random := rand.New(rand.NewPCG(1, uint64(f)))
			for range 1500 {
				oneStep(t, c, random)
			}
		})
	}
}

func oneStep(t *testing.T, c *redis.Client, random *rand.Rand) {
	t.Helper()
	ctx, token, generation := t.Context(), pick(random, tokens), pick(random, generations)
	raw := pick(random, entries(random))
	if raw == "" {
		must(t, c.Del(ctx, "k").Err())
	} else {
		must(t, c.Set(ctx, "k", raw, time.Minute).Err())
	}
	switch random.IntN(4) {
	case 0, 1:
		before := time.Now().Add(-time.Minute).UnixMilli()
		reply, err := c.Eval(ctx, protocol.GetOrLeaseScript, []string{"k"}, token, 5000, generation).Slice()
		must(t, err)
		stored, want := protocol.GetOrLease(raw, token, generation)
		same(t, c, "GetOrLease of "+raw+" under "+generation, stored)
		if reply[0] != want {
			t.Fatalf("GetOrLease of %q with %q replies %q, want %q", raw, token, reply[0], want)
		}
		own := want == "L"+token
		if n := reply[1].(int64); own && n < before || !own && (n < 1 || n > 60_000) {
			t.Fatalf("GetOrLease of %q with %q replies the number %d", raw, token, n)
		}
	case 2:
		n, err := c.Eval(ctx, protocol.FillScript, []string{"k"}, token, "Vnew", 5000).Int()
		must(t, err)
		stored, filled := protocol.Fill(raw, token, "Vnew")
		same(t, c, "Fill of "+raw, stored)
		if filled != (n == 1) {
			t.Fatalf("Fill of %q with %q replies %d", raw, token, n)
		}
	case 3:
		n, err := c.Eval(ctx, protocol.ReleaseScript, []string{"k"}, token).Int()
		must(t, err)
		stored, released := protocol.Release(raw, token)
		same(t, c, "Release of "+raw, stored)
		if released != (n == 1) {
			t.Fatalf("Release of %q with %q replies %d", raw, token, n)
		}
	}
}

var (
	tokens      = []string{strings.Repeat("A", 22), strings.Repeat("B", 22)}
	generations = []string{"", strings.Repeat("G", 22), strings.Repeat("H", 22)}
)

// entries are entries of every kind, sound, cut short and with bytes changed.
func entries(random *rand.Rand) []string {
	var all []string
	for _, e := range []protocol.Entry{
		{}, {Kind: protocol.Lease, Token: pick(random, tokens)}, {Kind: protocol.HoldOff},
		{Kind: protocol.Negative, Generation: pick(random, generations), Millis: int64(random.IntN(2)) * 1767323045600},
		{Kind: protocol.Value, Generation: pick(random, generations), Millis: int64(random.IntN(2)) * 1767323045600, Payload: pick(random, []string{"", "x\x00y"})},
	} {
		s := e.String()
		all = append(all, s)
		if s != "" {
			all = append(all, s[:random.IntN(len(s))], changed(s, random), s+"z")
		}
	}
	return all
}

func changed(s string, random *rand.Rand) string {
	b := []byte(s)
	b[random.IntN(len(b))] = "01234VNLTx\xff"[random.IntN(11)]
	return string(b)
}

func same(t *testing.T, c *redis.Client, what, want string) {
	t.Helper()
	got, err := c.Get(context.Background(), "k").Result()
	if err == redis.Nil {
		err = nil
	}
	must(t, err)
	if got != want {
		t.Fatalf("%q: Redis has %q, want %q", what, got, want)
	}
	if ttl := c.PTTL(context.Background(), "k").Val(); got != "" && ttl <= 0 {
		t.Fatalf("%q has no time to live", got)
	}
}

func pick(random *rand.Rand, of []string) string { return of[random.IntN(len(of))] }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
