package pipeline

import (
	"runtime/debug"

	"github.com/cdcd-io/cdcd/resilience"
)

// guard runs f, the work of a stage, and makes a panic in it an error that stops
// the pipeline. The others of the process have done nothing wrong, and a line
// that ends loses nothing, whatever state its stages are in: the next one starts
// from the checkpoint.
func (p *Pipeline) guard(stage string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.logPanic(stage, v)
			err = resilience.Errorf(resilience.Fatal, "stage_panic", "run line", "panic: %v", v).WithPlace("stage %s", stage).
				WithHint("this is a bug: report it with the stack in the log; nothing is lost, and resume goes on from the checkpoint")
		}
	}()
	return f()
}

// logPanic is called while the panic's stack is still there.
func (p *Pipeline) logPanic(stage string, v any) {
	p.deps.Log.Error("stage panicked, the pipeline stops", "stage", stage, "panic", v, "stack", string(debug.Stack()))
}
