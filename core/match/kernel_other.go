//go:build !amd64 || purego

package match

// kernels gives those that this machine can run, the fastest first.
func kernels() []kernel { return []kernel{portable} }
