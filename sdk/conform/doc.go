// Package conform is the conformance run that every capsule has to pass, in whatever language it
// is written: it holds what a capsule does against what it declares. sdktest runs it inside a
// test's process, pipeline/check over a real process.
package conform
