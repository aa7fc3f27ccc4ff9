package main

// sinkKinds are the kinds of sinks a configuration may name.
func sinkKinds() []string { return []string{"kafka", "file", "terminal"} }
