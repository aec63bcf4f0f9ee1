// Package deploy has nothing but what a server is installed with, a systemd unit, a Dockerfile and an
// example of a configuration, and the tests of these.
package deploy
