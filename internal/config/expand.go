package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxSecretBytes bounds a file named by ${file:path}.
const maxSecretBytes = 64 << 10

// expand replaces ${env:NAME} and ${file:path} in s; $${ stands for ${.
// changed reports whether a reference was replaced.
func (f *File) expand(s string) (out string, changed bool, err error) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), changed, nil
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return "", false, fmt.Errorf("%q has no closing brace (write $${ for a plain ${)", "${")
		}
		value, err := f.reference(s[i+2 : i+end])
		if err != nil {
			return "", false, err
		}
		b.WriteString(s[:i] + value)
		s, changed = s[i+end+1:], true
	}
}

// hasReference reports whether expand would replace something in s, or try to.
func hasReference(s string) bool {
	return strings.Contains(strings.ReplaceAll(s, "$${", ""), "${")
}

// reference looks up what stands between the braces.
func (f *File) reference(ref string) (string, error) {
	kind, name, _ := strings.Cut(ref, ":")
	switch {
	case kind == "env" && name != "":
		if v, ok := f.opts.LookupEnv(name); ok {
			return v, nil
		}
		return "", fmt.Errorf("the environment variable %s is not set", name)
	case kind == "file" && name != "":
		return f.secretFile(name)
	}
	return "", fmt.Errorf("${%s} is no reference: write ${env:NAME} or ${file:path} (or $${ for a plain ${)", ref)
}

// secretFile reads a small file, without the line end that editors leave. A
// relative path starts at the folder of the configuration.
func (f *File) secretFile(name string) (string, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(f.Path), name)
	}
	r, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("cannot read the secret: %w", err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxSecretBytes+1))
	if err != nil {
		return "", fmt.Errorf("cannot read the secret: %w", err)
	}
	if len(data) > maxSecretBytes {
		return "", fmt.Errorf("the secret in %s is over %d KiB", name, maxSecretBytes>>10)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}
