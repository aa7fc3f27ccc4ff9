// Package file keeps checkpoints in a directory, for a daemon that runs alone.
//
// A pipeline has three files: NAME.checkpoint, NAME.checkpoint.previous (the
// one before it, for a person to go back to) and NAME.lock. Save writes a new
// file, makes it durable and renames it into place, so that a crash at any
// point leaves the old checkpoint or the new one. What cannot be read is
// refused with a reason that names the copy; the store never goes back by
// itself.
//
// Read store.go first, then disk.go, the seam by which tests crash the disk.
package file
