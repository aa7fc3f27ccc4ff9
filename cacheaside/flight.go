package cacheaside

import "sync"

// flights lets one reader of a key work for all of this process that want it at
// the same time.
type flights struct {
	mu  sync.Mutex
	all map[string]*flight
}

type flight struct {
	done   chan struct{} // closed once the fields below are set
	result result
	err    error
	// gaveUp: the leader's own context ended, which says nothing to the others.
	gaveUp bool
}

// join returns the flight of the key; leader is true for the one who must work
// and call finish.
func (f *flights) join(key string) (fl *flight, leader bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.all[key]; fl != nil {
		return fl, false
	}
	if f.all == nil {
		f.all = map[string]*flight{}
	}
	fl = &flight{done: make(chan struct{})}
	f.all[key] = fl
	return fl, true
}

func (f *flights) finish(key string, fl *flight) {
	f.forget(key, fl)
	close(fl.done)
}

// forget takes the flight, or any if fl is nil, from those that can be joined: a
// reader that comes after a write must not get what was loaded before it.
func (f *flights) forget(key string, fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl == nil || f.all[key] == fl {
		delete(f.all, key)
	}
}
