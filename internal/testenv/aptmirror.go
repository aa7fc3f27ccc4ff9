package testenv

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MirrorEnv and KeyringEnv name a Debian mirror and its keyring for machines whose own apt knows no Debian (Ubuntu, say).
const (
	MirrorEnv  = "CDCD_TESTENV_DEBIAN_MIRROR"
	KeyringEnv = "CDCD_TESTENV_DEBIAN_KEYRING"
)

// debianKeyring is where the package debian-archive-keyring puts the keys that sign every Debian suite.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// debianSuites are the suites whose entry shows that a source is a main Debian archive; the mirror then has the others too.
var debianSuites = []string{
	"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable",
}

// aptSource is a place packages come from and the option that says whose signature to trust.
type aptSource struct {
	uri      string
	suites   []string
	main     bool
	signedBy string
	trusted  bool
}

// line is the source as one line of a source list, for another suite of the same archive.
func (s aptSource) line(suite string) string {
	option := ""
	switch {
	case s.signedBy != "":
		option = "[signed-by=" + s.signedBy + "] "
	case s.trusted:
		option = "[trusted=yes] "
	}
	return fmt.Sprintf("deb %s%s %s main", option, s.uri, suite)
}

// shown is the address for messages: some sites write a password into theirs.
func (s aptSource) shown() string {
	u, err := url.Parse(s.uri)
	if err != nil {
		return "the machine's mirror"
	}
	return u.Redacted()
}

func (s aptSource) isDebian() bool {
	return s.main && slices.ContainsFunc(s.suites, func(suite string) bool { return slices.Contains(debianSuites, suite) })
}

// findDebianMirror takes the archive this machine already uses from its apt configuration.
func findDebianMirror(etc string) (aptSource, error) {
	if uri := os.Getenv(MirrorEnv); uri != "" {
		return withKeyring(aptSource{uri: uri, signedBy: os.Getenv(KeyringEnv)}), nil
	}
	var sources []aptSource
	lists, _ := filepath.Glob(filepath.Join(etc, "sources.list.d/*.list"))
	for _, path := range append([]string{filepath.Join(etc, "sources.list")}, lists...) {
		sources = append(sources, readSources(path, parseListFile)...)
	}
	stanzas, _ := filepath.Glob(filepath.Join(etc, "sources.list.d/*.sources"))
	for _, path := range stanzas {
		sources = append(sources, readSources(path, parseStanzas)...)
	}
	if i := slices.IndexFunc(sources, aptSource.isDebian); i >= 0 {
		return withKeyring(sources[i]), nil
	}
	return aptSource{}, fmt.Errorf("no Debian archive among the apt sources in %s: the servers come from Debian; "+
		"set %s to the URL of a Debian mirror and %s to the keyring of the package debian-archive-keyring", etc, MirrorEnv, KeyringEnv)
}

// withKeyring fills in Debian's own keyring where the source relied on keys that apt trusts for everything.
func withKeyring(s aptSource) aptSource {
	if s.signedBy == "" && exists(debianKeyring) {
		s.signedBy = debianKeyring
	}
	return s
}

// readSources ignores files it cannot read: apt would complain itself, and another file may hold what is needed.
func readSources(path string, parse func(string) []aptSource) []aptSource {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return parse(string(text))
}

// parseListFile reads the one-line format: deb [option=value ...] uri suite component...
func parseListFile(text string) []aptSource {
	var sources []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var s aptSource
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			var options string
			options, rest, _ = strings.Cut(rest[1:], "]")
			s.setOptions(strings.Fields(options))
		}
		if fields := strings.Fields(rest); len(fields) >= 3 {
			s.uri, s.suites, s.main = fields[0], fields[1:2], slices.Contains(fields[2:], "main")
			sources = append(sources, s)
		}
	}
	return sources
}

func (s *aptSource) setOptions(options []string) {
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		switch strings.ToLower(key) {
		case "signed-by":
			s.signedBy = keyringFile(value)
		case "trusted":
			s.trusted = value == "yes"
		}
	}
}

// parseStanzas reads the deb822 format: "Key: value" stanzas between empty lines.
func parseStanzas(text string) []aptSource {
	var sources []aptSource
	fields := map[string]string{}
	flush := func() {
		if s, ok := stanzaSource(fields); ok {
			sources = append(sources, s)
		}
		clear(fields)
	}
	last := ""
	for in := bufio.NewScanner(strings.NewReader(text)); in.Scan(); {
		line := in.Text()
		switch {
		case strings.TrimSpace(line) == "":
			flush()
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "), strings.HasPrefix(line, "\t"):
			fields[last] += "\n" + strings.TrimSpace(line)
		default:
			key, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(key)
			fields[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return sources
}

func stanzaSource(f map[string]string) (aptSource, bool) {
	uris := strings.Fields(f["uris"])
	types := strings.Fields(f["types"])
	if len(uris) == 0 || !slices.Contains(types, "deb") || strings.EqualFold(f["enabled"], "no") {
		return aptSource{}, false
	}
	return aptSource{
		uri:      uris[0],
		suites:   strings.Fields(f["suites"]),
		main:     slices.Contains(strings.Fields(f["components"]), "main"),
		signedBy: keyringFile(f["signed-by"]),
		trusted:  strings.EqualFold(f["trusted"], "yes"),
	}, true
}

// keyringFile keeps a keyring given as a path; a key written into the stanza itself signs that archive only and may lack the
// keys of the suite we want.
func keyringFile(value string) string {
	if strings.HasPrefix(value, "/") && !strings.ContainsAny(value, " \n") {
		return value
	}
	return ""
}
