package file

import (
	"context"
	"os"
	"path/filepath"

	"github.com/cdcd-io/cdcd/resilience"
)

// Doctor implements resilience.Doctor: whether the output can be written. It
// makes no folder and leaves nothing behind.
func (s *Sink) Doctor(context.Context) []resilience.Finding {
	if f, err := os.OpenFile(s.cfg.Path, os.O_WRONLY, 0); err == nil {
		f.Close()
		return []resilience.Finding{{Code: "output_writable", Text: s.cfg.Path + " can be written to"}}
	} else if !os.IsNotExist(err) {
		return unwritable(err)
	}
	dir := existing(filepath.Dir(s.cfg.Path))
	f, err := os.CreateTemp(dir, ".cdcd-check-*")
	if err != nil {
		return unwritable(err)
	}
	f.Close()
	os.Remove(f.Name())
	return []resilience.Finding{{Code: "output_writable", Text: s.cfg.Path + " does not exist yet and can be made"}}
}

func unwritable(err error) []resilience.Finding {
	return []resilience.Finding{{Severity: resilience.Problem, Code: "output_writable", Text: "the output cannot be written: " + err.Error(),
		Fix: "give the user that runs cdcd the right to write there, or set path of this sink"}}
}

// existing is the nearest folder above that there is.
func existing(dir string) string {
	for {
		parent := filepath.Dir(dir)
		if _, err := os.Stat(dir); !os.IsNotExist(err) || parent == dir {
			return dir
		}
		dir = parent
	}
}
