// Command capstan runs capsules on video.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses of every command.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is a mistake in how the program was called; it ends with exitUsage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errInterrupted says that a signal ended the work early, after what was written was completed.
var errInterrupted = errors.New("interrupted")

func main() {
	// A reader that goes away makes writing fail, so that the other outputs are completed.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signalContext()
	err := rootCommand().ExecuteContext(ctx)
	stop()
	os.Exit(exitStatus(err))
}

// signalContext ends at the first SIGINT or SIGTERM; a second one ends the program at once.
func signalContext() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, ok := <-signals; !ok {
			return
		}
		cancel(errInterrupted)
		if _, ok := <-signals; ok {
			os.Exit(exitInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		<-done
		cancel(nil)
	}
}

// exitStatus says why on standard error and gives the status.
func exitStatus(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errInterrupted):
		fmt.Fprintln(os.Stderr, "capstan: interrupted; what was written is complete")
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "capstan: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(os.Stderr, "capstan: %v\n", err)
		return exitFailed
	}
}
