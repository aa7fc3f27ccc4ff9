package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/cdcd-io/cdcd/pipeline"
)

// clientTimeout bounds one question to the daemon.
const clientTimeout = 10 * time.Second

// maxAnswer bounds what a client reads of an answer.
const maxAnswer = 16 << 20

// ErrNoDaemon is wrapped when nothing answers at the socket.
var ErrNoDaemon = errors.New("no daemon answers")

// Client talks to a daemon through its socket. Safe for concurrent use.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client of the daemon whose socket is at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path, &http.Client{Timeout: clientTimeout, Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1}}}
}

// Report asks how every pipeline is.
func (c *Client) Report(ctx context.Context) (Report, error) {
	var r Report
	err := c.call(ctx, http.MethodGet, "/api/v1/pipelines", nil, &r)
	return r, err
}

// Pipeline asks how one pipeline is.
func (c *Client) Pipeline(ctx context.Context, name string) (PipelineInfo, error) {
	var info PipelineInfo
	err := c.call(ctx, http.MethodGet, "/api/v1/pipelines/"+url.PathEscape(name), nil, &info)
	return info, err
}

// Command sends "pause" or "resume" to the pipeline and returns how it is then.
func (c *Client) Command(ctx context.Context, verb, name string) (PipelineInfo, error) {
	var info PipelineInfo
	err := c.call(ctx, http.MethodPost, "/api/v1/pipelines/"+url.PathEscape(name)+"/"+verb, nil, &info)
	return info, err
}

// Snapshot asks the pipeline to start, pause, resume or cancel the reading of
// tables and returns how it is then.
func (c *Client) Snapshot(ctx context.Context, name string, r pipeline.SnapshotRequest) (PipelineInfo, error) {
	var info PipelineInfo
	body, err := json.Marshal(r)
	if err == nil {
		err = c.call(ctx, http.MethodPost, "/api/v1/pipelines/"+url.PathEscape(name)+"/snapshot", body, &info)
	}
	return info, err
}

// call asks and decodes the answer; a refusal comes back as an *APIError.
func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://cdcd"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return fmt.Errorf("%w at %s: %w", ErrNoDaemon, c.path, op.Err)
		}
		return fmt.Errorf("ask the daemon at %s: %w", c.path, err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.Status, dec)
	}
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

func refusal(status string, dec *json.Decoder) error {
	var body struct{ Error *APIError }
	if dec.Decode(&body) != nil || body.Error == nil {
		return fmt.Errorf("the daemon answered %s", status)
	}
	return body.Error
}
