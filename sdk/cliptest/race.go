//go:build race

package cliptest

// Every says that tests look at every so manieth frame of a clip: the race detector makes pixel
// loops some ten times slower.
const Every = 8
