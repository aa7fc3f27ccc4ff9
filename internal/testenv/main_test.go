package testenv

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also looks for goroutines left behind: the environments, proxies and readers of this package promise to join theirs.
func TestMain(m *testing.M) {
	code := Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
