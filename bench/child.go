package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	childVerb = "measure"
	targetEnv = "CDCD_BENCH_TARGET"
)

// child makes one measurement and prints what it went through.
func child(ctx context.Context, name string) error {
	var t target
	if err := json.Unmarshal([]byte(os.Getenv(targetEnv)), &t); err != nil {
		return err
	}
	for _, m := range measurements {
		if m.name == name {
			stop, err := startProfile(t.Profile, name)
			if err != nil {
				return err
			}
			c, err := m.run(ctx, t)
			stop()
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(c)
		}
	}
	return fmt.Errorf("no measurement is called %q", name)
}

// childCommand is the process that makes the measurement.
func childCommand(name string, t target) (*exec.Cmd, error) {
	spec, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, childVerb, name)
	cmd.Env = append(os.Environ(), targetEnv+"="+string(spec))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// startChild starts a measurement without an end; stop ends it and waits.
func startChild(name string, t target) (cmd *exec.Cmd, stop func() error, err error) {
	if cmd, err = childCommand(name, t); err != nil {
		return nil, nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return cmd, func() error {
		_ = in.Close()
		return cmd.Wait()
	}, nil
}

// usage is the operating system's account of a process that has ended: CPU
// time and peak resident memory in MiB.
func usage(p *os.ProcessState) (cpu time.Duration, rss float64) {
	if ru, ok := p.SysUsage().(*syscall.Rusage); ok {
		rss = float64(ru.Maxrss) / 1024
	}
	return p.UserTime() + p.SystemTime(), rss
}
