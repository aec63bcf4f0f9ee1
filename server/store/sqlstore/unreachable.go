package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/capstan-video/capstan/core"
)

// unreachable says in one line of a database that cannot be asked which one it is and why. pgx
// gives a line for every address that it has tried.
func unreachable(name string, err error) *core.Fault {
	f := core.Faultf(core.Internal, "open database", "", "%s: %s", name, oneLine(err.Error()))
	f.Hint = "is it running, and may this user connect to it?"
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) || connect.Config == nil {
		return f
	}
	c := connect.Config
	at := net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
	if strings.HasPrefix(c.Host, "/") {
		at = c.Host // a socket's folder
	}
	f.Err = fmt.Errorf("%s at %s does not answer: %s", name, at, connectCause(err))
	f.Hint = "is it running there, and is the address in database (CAPSTAN_DATABASE, --database) right?"
	if errors.As(err, new(*pgconn.PgError)) {
		f.Err = fmt.Errorf("%s at %s does not let the user %q into the database %q: %s", name, at, c.User, c.Database, connectCause(err))
		f.Hint = "are user, password and name in database (CAPSTAN_DATABASE, --database) right?"
	}
	return f
}

// connectCause gives what the server or the network has said last.
func connectCause(err error) string {
	var told *pgconn.PgError
	var network *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &told):
		return told.Message
	case errors.As(err, &name):
		return name.Error()
	case errors.As(err, &network):
		return network.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return oneLine(err.Error())
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
