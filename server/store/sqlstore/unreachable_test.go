package sqlstore

import (
	"net"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// TestUnreachable wants one line with the address, and without the password.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	go func() {
		for {
			c, err := deaf.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for url, want := range map[string]string{
		"postgres://nobody:hunter22@127.0.0.1:1/x":                                  "PostgreSQL at 127.0.0.1:1 does not answer: connect: connection refused (is it running",
		"postgres://nobody:hunter22@" + deaf.Addr().String() + "/x?sslmode=disable": "PostgreSQL at " + deaf.Addr().String() + " does not answer",
		"postgres://nobody:hunter22@nowhere.invalid/x":                              "PostgreSQL at nowhere.invalid:5432 does not answer",
		"postgres://nobody:hunter22@/x?host=/nowhere/at/all":                        "PostgreSQL at /nowhere/at/all does not answer",
	} {
		_, err := Open(t.Context(), url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "hunter22") || core.KindOf(err) != core.Internal {
			t.Errorf("%s: %v", url, err)
		}
	}
}
