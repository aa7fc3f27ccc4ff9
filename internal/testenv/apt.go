package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// aptInstall unpacks packages of one Debian suite, with all they depend on, into dir. Nothing on the machine changes: apt gets
// its own lists, cache and package status, and a one-line source list that names the machine's own mirror.
func aptInstall(ctx context.Context, dir, suite string, packages ...string) error {
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := need(program, "the servers come from Debian packages; use a Debian machine or image"); err != nil {
			return err
		}
	}
	mirror, err := findDebianMirror("/etc/apt")
	if err != nil {
		return err
	}
	work := filepath.Join(dir, "apt")
	options, err := privateApt(work, mirror.line(suite))
	if err != nil {
		return err
	}
	if err := run(ctx, work, nil, append(options, "update")...); err != nil {
		return fmt.Errorf("fetch the package lists of Debian %s: %w; is %s reachable from here?", suite, err, mirror.shown())
	}
	if err := run(ctx, work, nil, append(append(options, "-y", "--download-only", "install"), packages...)...); err != nil {
		return fmt.Errorf("download %v from Debian %s: %w", packages, suite, err)
	}
	if err := unpackDebs(ctx, work, dir); err != nil {
		return err
	}
	return os.RemoveAll(work)
}

// privateApt prepares a folder in which apt keeps all its state, and returns the command line that uses it.
func privateApt(work, sourceLine string) ([]string, error) {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, d), 0o755); err != nil {
			return nil, err
		}
	}
	settings := [][2]string{
		{"Dir::Etc::sourcelist", filepath.Join(work, "sources.list")},
		{"Dir::Etc::sourceparts", "/dev/null"},
		{"Dir::Etc::preferencesparts", "/dev/null"},
		{"Dir::State", filepath.Join(work, "state")},
		{"Dir::State::status", filepath.Join(work, "status")},
		{"Dir::Cache", filepath.Join(work, "cache")},
		{"APT::Install-Recommends", "false"},
		{"APT::Sandbox::User", "root"},     // apt's own user could not read a private cache folder
		{"APT::Update::Error-Mode", "any"}, // an unreachable mirror is an error here, not a warning
		{"Acquire::Retries", "3"},
		{"Acquire::Languages", "none"},
	}
	var conf strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&conf, "%s %q;\n", s[0], s[1])
	}
	files := map[string]string{
		"apt.conf":     conf.String(),
		"sources.list": sourceLine + "\n",
		"status":       "", // nothing is installed yet
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return []string{"apt-get", "-c", filepath.Join(work, "apt.conf")}, nil
}

// unpackDebs extracts the downloaded packages without running their scripts: those would want to configure this machine.
func unpackDebs(ctx context.Context, work, root string) error {
	debs, err := filepath.Glob(filepath.Join(work, "cache/archives/*.deb"))
	if err != nil || len(debs) == 0 {
		return fmt.Errorf("apt downloaded no packages into %s", work)
	}
	sort.Strings(debs)
	for _, deb := range debs {
		if err := run(ctx, work, nil, "dpkg-deb", "-x", deb, root); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
		}
	}
	return nil
}
