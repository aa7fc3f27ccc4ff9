//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled tells whether this build has failpoints.
const Enabled = true

type action struct {
	at    int64 // strike at the nth hit
	do    string
	delay time.Duration
}

var (
	mu      sync.Mutex
	hits    = map[string]int64{}
	actions = parse(os.Getenv("CDCD_FAILPOINTS"))
	counts  = os.Getenv("CDCD_FAILPOINT_COUNTS")
)

// Hit marks a step that a test may strike.
func Hit(name string) {
	mu.Lock()
	hits[name]++
	n := hits[name]
	a, ok := actions[name]
	strike := ok && n == a.at
	if n == 1 || strike {
		save()
	}
	mu.Unlock()
	if strike {
		a.run()
	}
}

func (a action) run() {
	switch a.do {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hang":
		select {}
	case "delay":
		time.Sleep(a.delay)
	}
}

// save writes the counts with one write, so that a kill leaves all or nothing new.
func save() {
	if counts == "" {
		return
	}
	names := make([]string, 0, len(hits))
	for n := range hits {
		names = append(names, n)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%s %d\n", n, hits[n])
	}
	if err := os.WriteFile(counts, []byte(b.String()), 0o600); err != nil {
		panic(fmt.Sprintf("failpoint: write counts: %v", err))
	}
}

func parse(s string) map[string]action {
	m := map[string]action{}
	for _, item := range strings.Split(s, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, what, ok := strings.Cut(item, "=")
		if !ok {
			panic("failpoint: want name=[n*]action in CDCD_FAILPOINTS, got " + item)
		}
		m[name] = parseAction(what)
	}
	return m
}

func parseAction(s string) action {
	a := action{at: 1}
	if n, rest, ok := strings.Cut(s, "*"); ok {
		at, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			panic("failpoint: bad count in " + s)
		}
		a.at, s = at, rest
	}
	if arg, ok := strings.CutPrefix(s, "delay("); ok {
		d, err := time.ParseDuration(strings.TrimSuffix(arg, ")"))
		if err != nil {
			panic("failpoint: bad delay in " + s)
		}
		a.do, a.delay = "delay", d
		return a
	}
	if s != "kill" && s != "hang" {
		panic("failpoint: unknown action " + s)
	}
	a.do = s
	return a
}
