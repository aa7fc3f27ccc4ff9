package mysql

import (
	"regexp"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/resilience"
)

// need is a privilege and all of the names under which some server has it, or
// a stronger one that holds it.
type need struct {
	code, grant string
	names       []string
	why         string
}

func (e *examination) needs() []need {
	status := need{"grant_replication_client", "REPLICATION CLIENT", []string{"REPLICATION CLIENT", "BINLOG MONITOR"}, "to see where the log ends"}
	list := []need{{"grant_replication_slave", "REPLICATION SLAVE", []string{"REPLICATION SLAVE"}, "to read the log"}, status}
	if e.maria() {
		list[1].grant = "BINLOG MONITOR"
	}
	return append(list, need{"grant_select", "SELECT", []string{"SELECT"}, "to check the captured tables"})
}

var grantLine = regexp.MustCompile(`^GRANT (.+?) ON (.+?) TO (.+?)(?: IDENTIFIED| REQUIRE| WITH|$)`)

// grants tells the statements that are missing.
func (e *examination) grants() error {
	r, err := e.ask(e.ctx, "SHOW GRANTS FOR CURRENT_USER")
	if err != nil {
		return err
	}
	account := "'" + e.source.cfg.User + "'@'%'"
	if who, err := e.row(e.ctx, "SELECT CURRENT_USER()"); err == nil && len(who) > 0 {
		account = accountOf(who[0])
	}
	global, tables := privileges(r)
	for _, n := range e.needs() {
		held := global["ALL PRIVILEGES"] || slices.ContainsFunc(n.names, func(name string) bool { return global[name] })
		if n.grant == "SELECT" {
			held = held || tables
		}
		if held {
			e.good(n.code, "%s is granted", n.grant)
			continue
		}
		sev := resilience.Problem
		if n.grant == "SELECT" {
			sev = resilience.Warning
		}
		e.add(sev, n.code, "GRANT "+n.grant+" ON *.* TO "+account+";", "%s is not granted; it is needed %s", n.grant, n.why)
	}
	return nil
}

// accountOf writes what CURRENT_USER() says as a GRANT needs it.
func accountOf(current string) string {
	at := strings.LastIndexByte(current, '@')
	if at < 0 {
		return "'" + current + "'"
	}
	return "'" + current[:at] + "'@'" + current[at+1:] + "'"
}

// privileges are the ones held on everything, and whether SELECT is held on
// something at least.
func privileges(grants rows) (global map[string]bool, tables bool) {
	global = map[string]bool{}
	for _, g := range grants {
		m := grantLine.FindStringSubmatch(g[0])
		if m == nil {
			continue
		}
		for p := range strings.SplitSeq(m[1], ",") {
			p = strings.TrimSpace(p)
			if m[2] == "*.*" {
				global[p] = true
			} else if p == "SELECT" || p == "ALL PRIVILEGES" {
				tables = true
			}
		}
	}
	return global, tables
}
