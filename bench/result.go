package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// target is where the log lies and where it ends.
type target struct {
	Flavor, Host, User, Password string
	Port                         uint16
	StartFile, EndFile           string
	StartOffset, EndOffset       uint64
	EndGTIDs                     string // "": no end, see cdcd
	Checkpoint                   []byte // of the start
	Snapshot                     string // mode of the snapshot, "" for never
	SnapshotRate                 int    // rows a second, 0 for as many as there come
	Kafka                        string
	Dir                          string
	Profile                      string // folder for CPU profiles, "" for none
}

// counts is what one measurement went through.
type counts struct {
	Rows, Bytes int64
}

// result is one line of output.
type result struct {
	Name            string  `json:"name"`
	Seconds         float64 `json:"seconds"`
	CPUSeconds      float64 `json:"cpu_seconds"`
	Rows            int64   `json:"rows,omitempty"`
	RowsPerSecond   float64 `json:"rows_per_second,omitempty"`
	MBPerSecond     float64 `json:"mb_per_second,omitempty"`
	CPUPerMillion   float64 `json:"cpu_seconds_per_million_rows,omitempty"`
	PeakRSSMiB      float64 `json:"peak_rss_mib"`
	RatioToFraming  float64 `json:"time_ratio_to_framing,omitempty"`
	RatioToDecoding float64 `json:"cpu_ratio_to_decoding,omitempty"`
	RateToSelect    float64 `json:"rate_ratio_to_select,omitempty"`
}

// measure runs one measurement in a process of its own.
func measure(name string, t target) (result, error) {
	cmd, err := childCommand(name, t)
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	if err != nil {
		return result{}, fmt.Errorf("%s: %w", name, err)
	}
	var c counts
	if err := json.Unmarshal(out, &c); err != nil {
		return result{}, fmt.Errorf("%s: %w", name, err)
	}
	return newResult(name, took, cmd.ProcessState, c), nil
}

func newResult(name string, took time.Duration, p *os.ProcessState, c counts) result {
	cpu, rss := usage(p)
	r := result{Name: name, Seconds: took.Seconds(), CPUSeconds: cpu.Seconds(), PeakRSSMiB: rss, Rows: c.Rows}
	r.MBPerSecond = float64(c.Bytes) / 1e6 / took.Seconds()
	if c.Rows > 0 {
		r.RowsPerSecond = float64(c.Rows) / took.Seconds()
		r.CPUPerMillion = cpu.Seconds() / float64(c.Rows) * 1e6
	}
	return r
}
