package format

import "sync"

// Routes hands out one Route a topic. It is safe for concurrent use.
type Routes struct {
	mu   sync.Mutex
	byID map[string]*Route
}

// Topic returns the route of the topic, the same pointer every time.
func (r *Routes) Topic(topic string) *Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = make(map[string]*Route)
	}
	rt := r.byID[topic]
	if rt == nil {
		rt = &Route{Topic: topic, Index: len(r.byID)}
		r.byID[topic] = rt
	}
	return rt
}
