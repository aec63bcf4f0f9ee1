//go:build !race

package cliptest

// Every says that tests look at every so manieth frame of a clip: all of them, except under the
// race detector.
const Every = 1
