package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/cdcd-io/cdcd/internal/nearest"
)

// suggest names the nearest known word, or lists them when none is near.
func suggest(word string, known []string) string {
	if best := nearest.Word(word, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(known) == 0 {
		return "nothing is known here"
	}
	sorted := append([]string(nil), known...)
	sort.Strings(sorted)
	if len(sorted) > 16 {
		sorted = append(sorted[:16], "…")
	}
	return "known: " + strings.Join(sorted, ", ")
}
