package pipeline

const (
	// besideBuffers is what a pipeline may hold beside its ring and its output:
	// encoders, compressors, buffers kept for reuse, table versions.
	besideBuffers = 96 << 20
	// ofProcess is what a process needs besides its pipelines.
	ofProcess = 16 << 20
)

// MemoryLimit is how much memory, in bytes, a process is meant to use that runs
// these pipelines: what to tell the garbage collector, so that it runs before
// the heap has doubled over full buffers. The defaults make 224 MiB of one
// pipeline, which keeps it below 256 MiB resident.
func MemoryLimit(pipelines ...Config) int64 {
	limit := int64(ofProcess)
	for i := range pipelines {
		c := &pipelines[i]
		limit += c.Buffer.RingBytes + c.OutputBytes + besideBuffers
	}
	return limit
}
