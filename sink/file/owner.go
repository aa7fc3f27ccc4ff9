package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// owner is what the lock file says about the output.
type owner struct {
	Installation string `json:"installation,omitempty"`
	Pipeline     string `json:"pipeline,omitempty"`
	Term         uint64 `json:"term"`
	PID          int    `json:"pid"`
}

// ownerBytes is the length of the lock file. It is written whole and in place:
// less than a sector is not torn.
const ownerBytes = 512

// lockOutput takes the lock beside the output, which ends with the process at
// the latest, and reads what is known of the output's owner.
func lockOutput(path string) (*os.File, owner, error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, owner{}, diskError("lock output", name, err)
	}
	lockErr := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	o, err := readOwner(f)
	switch {
	case errors.Is(lockErr, syscall.EWOULDBLOCK):
		err = resilience.Errorf(resilience.Fatal, "output_locked", "lock output", "process %d holds it, for pipeline %q", o.PID, o.Pipeline).
			WithPlace("%s", name).WithHint("give each pipeline a path of its own, and stop the other cdcd if it runs this pipeline too")
	case lockErr != nil:
		err = diskError("lock output", name, lockErr)
	case err != nil:
		err = diskError("read owner of output", name, err)
	default:
		return f, o, nil
	}
	f.Close()
	return nil, o, err
}

// readOwner returns the zero owner when there is none or it cannot be read.
func readOwner(f *os.File) (owner, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, ownerBytes))
	var o owner
	if err != nil || json.Unmarshal(b, &o) != nil {
		return owner{}, err
	}
	return o, nil
}

func writeOwner(f *os.File, o owner) error {
	o.PID = os.Getpid()
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if len(b) >= ownerBytes {
		return resilience.Errorf(resilience.Fatal, "bad_name", "write owner of output", "the names are too long").
			WithHint("shorten the names of installation and pipeline")
	}
	b = fmt.Appendf(nil, "%-*s\n", ownerBytes-1, b)
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Sync()
}

// admit says whether a line of cp under this term may write to the output.
func (o owner) admit(path string, term uint64, cp checkpoint.Checkpoint) error {
	none, err := empty(path)
	if err != nil {
		return diskError("look at output", path, err)
	}
	switch {
	case none:
		return nil
	case o.Term > term:
		return resilience.Errorf(resilience.Fenced, "output_fenced", "connect to output", "term %d wrote to it, this is %d", o.Term, term).
			WithPlace("%s", path)
	case cp.IsZero():
		return resilience.Errorf(resilience.Fatal, "output_without_checkpoint", "connect to output", "it is not empty, yet the pipeline has no checkpoint").
			WithPlace("%s", path).WithHint("move the file and its numbered ones away to start anew, or restore the checkpoint to go on")
	case o.Installation != cp.Installation || o.Pipeline != cp.Pipeline:
		return resilience.Errorf(resilience.Fatal, "output_foreign", "connect to output", "it belongs to pipeline %q of installation %q", o.Pipeline, o.Installation).
			WithPlace("%s", path).WithHint("give this pipeline another path, or move the file and its numbered ones away")
	}
	return nil
}
