package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad: no file makes the reading panic or run away, and no message or
// printed form gives a secret away.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/problems/*.yaml")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(minimal)
	f.Add("a: &a [*a]\nb: &b {c: *b}\nsources: *b")
	f.Add("sources: {s: {password: '${env:PW}', wait: '${env:PW}', max_bytes: '${env:PW}', level: '${env:PW}'}}")
	f.Fuzz(func(t *testing.T, text string) {
		file, _ := load(text)
		var told string
		if err := file.Err(); err != nil {
			told = err.Error()
		}
		if strings.Contains(text, env["PW"]) || strings.Contains(text, "PORT") {
			return
		}
		if told += file.Effective(); strings.Contains(told, env["PW"]) {
			t.Errorf("a secret is told:\n%s", told)
		}
	})
}
