package testenv

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// orphanEnv asks this test program to be the parent that dies.
const orphanEnv = "CDCD_TESTENV_ORPHAN_DIR"

// TestServersDieWithTheTest kills a test process without warning and looks for what it leaves behind.
func TestServersDieWithTheTest(t *testing.T) {
	if dir := os.Getenv(orphanEnv); dir != "" {
		beParent(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServersDieWithTheTest$")
	cmd.Env = append(os.Environ(), orphanEnv+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = poll(ctx, 10*time.Millisecond, func() error {
		if alive(pid) {
			return fmt.Errorf("server %d outlives its test", pid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// beParent starts a server, freezes it (the worst case for a polite signal), tells its pid and waits to be killed.
func beParent(t *testing.T, dir string) {
	e, err := Open(dir, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.MySQL(t.Context(), MySQLOptions{Flavor: MariaDB118})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	fmt.Println(m.Pid())
	time.Sleep(time.Minute) // bounded in case the one who should kill us is gone
}

// alive does not count a zombie, which is dead and only waits for somebody to ask how it ended.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
