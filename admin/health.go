package admin

import (
	"net/http"

	"github.com/cdcd-io/cdcd/pipeline"
)

// healthz says that the process lives and answers, and nothing more: a restart
// would not mend a server that is away.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness is the verdict on one pipeline.
type readiness struct {
	Name  string         `json:"name"`
	State pipeline.State `json:"state"`
	Ready bool           `json:"ready"`
	Error string         `json:"error,omitempty"`
}

// readyz says whether every pipeline makes progress: being connected is not
// enough. What an operator paused does not count against it.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	code, verdict := http.StatusOK, "ready"
	all := []readiness{}
	for _, p := range s.pipelines {
		st := p.Status()
		all = append(all, readiness{st.Name, st.State, st.Ready, st.Error})
		if !st.Ready && st.State != pipeline.Paused {
			code, verdict = http.StatusServiceUnavailable, "not ready"
		}
	}
	writeJSON(w, code, map[string]any{"status": verdict, "pipelines": all})
}
