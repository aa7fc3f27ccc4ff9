//go:build !failpoints

package failpoint

// Enabled tells whether this build has failpoints.
const Enabled = false

// Hit marks a step that a test may strike.
func Hit(string) {}
