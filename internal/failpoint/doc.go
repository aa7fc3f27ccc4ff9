// Package failpoint lets a test strike the daemon at a chosen step: kill it,
// hang it, slow it down. Points exist only in a build with the tag
// "failpoints"; without it Hit is an empty function that costs nothing.
//
// The environment variable CDCD_FAILPOINTS holds actions by name, separated by
// semicolons: "send.before=3*kill" kills the process (SIGKILL) when the point
// is reached for the third time; "encode.piece=hang" blocks there for ever;
// "read.event=5*delay(200ms)" sleeps once. CDCD_FAILPOINT_COUNTS names a file
// that is given, at each first hit of a point and before each action, how often
// every point was reached: a point that no run reaches fails the sweep.
package failpoint
