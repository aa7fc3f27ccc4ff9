package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindDebianMirror(t *testing.T) {
	t.Setenv(MirrorEnv, "")
	stanza := `Types: deb
# the archive of this site
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
Signed-By: /keys/security.gpg

Types: deb deb-src
URIs: http://mirror.test/debian http://other.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg
`
	for name, c := range map[string]struct{ file, text, want string }{
		"stanzas":         {"sources.list.d/debian.sources", stanza, "deb [signed-by=/keys/debian.gpg] http://mirror.test/debian sid main"},
		"one line":        {"sources.list", "deb-src http://no/debian sid main\ndeb [arch=amd64 signed-by=/k.gpg] http://m/debian trixie main # ours\n", "deb [signed-by=/k.gpg] http://m/debian sid main"},
		"another vendor":  {"sources.list.d/x.list", "deb http://vendor.test/apt stable-1 main\n", ""},
		"disabled":        {"sources.list.d/d.sources", "Types: deb\nEnabled: no\nURIs: http://m/debian\nSuites: sid\nComponents: main\n", ""},
		"trusted":         {"sources.list.d/t.list", "deb [trusted=yes] http://m/debian stable main\n", "http://m/debian sid main"},
		"without entries": {"sources.list", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			etc := t.TempDir()
			path := filepath.Join(etc, c.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := findDebianMirror(etc)
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), MirrorEnv) {
					t.Fatalf("got %+v, %v; want an error that names a way out", s, err)
				}
				return
			}
			if err != nil || !strings.HasSuffix(s.line("sid"), c.want) {
				t.Fatalf("got %q, %v; want %q", s.line("sid"), err, c.want)
			}
		})
	}
}
