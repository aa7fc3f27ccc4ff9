package main

import (
	"context"
	"os"
)

func main() { os.Exit(cdcd()) }

// cdcd runs the command line of this process.
func cdcd() int {
	return execute(context.Background(), osSystem(), os.Args[1:])
}
