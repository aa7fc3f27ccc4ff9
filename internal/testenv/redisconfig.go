package testenv

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// settings are the lines of redis.conf without those of users.
func (r *Redis) settings() map[string]string {
	s := map[string]string{
		"port":                     strconv.Itoa(r.port),
		"bind":                     "127.0.0.1",
		"protected-mode":           "no", // it listens on this machine only
		"dir":                      r.dir,
		"save":                     `""`,
		"appendonly":               "no",
		"appendfsync":              "no", // the operating system has it, and that survives Kill
		"repl-diskless-sync-delay": "0",
		"repl-ping-replica-period": "1",
		"repl-timeout":             "10",
		"shutdown-timeout":         "2", // a replica that is frozen or cut off shall not hold Stop up
		"enable-debug-command":     "yes",
		"masteruser":               RedisAdmin, "masterauth": RedisAdminPassword,
		"proto-max-bulk-len":          "64mb",
		"tcp-backlog":                 "128",
		"auto-aof-rewrite-percentage": "0",
	}
	if r.opts.AppendOnly {
		s["appendonly"] = "yes"
	}
	if host, port, err := net.SplitHostPort(r.opts.ReplicaOf); err == nil {
		s["replicaof"] = host + " " + port
	}
	if r.opts.TLS {
		s["tls-port"] = strconv.Itoa(r.securePort)
		s["tls-cert-file"] = filepath.Join(r.certs(), serverCertFile)
		s["tls-key-file"] = filepath.Join(r.certs(), serverKeyFile)
		s["tls-ca-cert-file"] = r.CAPath()
		s["tls-auth-clients"] = "optional"
	}
	maps.Copy(s, r.opts.Config)
	return s
}

// users are the lines of the accounts.
func (r *Redis) users() []string {
	all := []string{fmt.Sprintf("user %s on >%s ~* &* +@all", RedisAdmin, RedisAdminPassword)}
	for _, name := range slices.Sorted(maps.Keys(r.opts.Users)) {
		all = append(all, "user "+name+" "+r.opts.Users[name])
	}
	return all
}

func lines(settings map[string]string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		all = append(all, key+" "+settings[key])
	}
	return all
}

// prepare writes the configuration and makes the command line.
func (r *Redis) prepare(config []string, args ...string) error {
	path := filepath.Join(r.dir, "redis.conf")
	if err := os.WriteFile(path, []byte(strings.Join(config, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("testenv: write the configuration of %s: %w", r.name, err)
	}
	argv, err := debCommand(r.root, "usr/bin/"+redisRoots[r.opts.Flavor].program, append([]string{path}, args...)...)
	r.argv = argv
	return err
}
