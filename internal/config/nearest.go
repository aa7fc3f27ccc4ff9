package config

import (
	"fmt"
	"sort"
	"strings"
)

// Nearest returns the known word nearest to a mistyped one, "" when none is near.
func Nearest(word string, known []string) string {
	best, dist := "", min(len(word)/3+2, (len(word)+1)/2)
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	return best
}

// suggest names the nearest known word, or lists them when none is near.
func suggest(word string, known []string) string {
	if best := Nearest(word, known); best != "" {
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

// distance counts the single-character insertions, deletions, replacements and
// swaps of neighbours that turn a into b.
func distance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 100 // no mistyped key: do not spend the square of it
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
