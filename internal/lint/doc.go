// Package lint holds the rules of the house as tests: who may import whom,
// where goroutines may start, that every package tells what it is.
package lint
