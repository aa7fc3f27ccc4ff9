package nearest

import "strings"

// Word returns the known word nearest to a mistyped one, "" when none is near.
func Word(word string, known []string) string {
	best, dist := "", min(len(word)/3+2, (len(word)+1)/2)
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	return best
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
