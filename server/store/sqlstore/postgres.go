package sqlstore

import (
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/capstan-video/capstan/core"
)

const (
	postgresConnections = 16 // at once; more wait
	postgresIdle        = 5 * time.Minute
)

// The keys of advisory locks: any numbers, as long as no other program uses them in this database.
const (
	lockSchema = "SELECT pg_advisory_xact_lock(7209350001)"
	lockEvents = "SELECT pg_advisory_xact_lock(7209350002)"
	lockFold   = "SELECT pg_try_advisory_xact_lock(7209350003)"
)

var postgresDialect = dialect{
	name:       "PostgreSQL",
	folder:     "postgres",
	view:       &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
	update:     &sql.TxOptions{Isolation: sql.LevelSerializable},
	fold:       &sql.TxOptions{Isolation: sql.LevelRepeatableRead},
	contains:   "strpos(?, ?) > 0",
	pairs:      true,
	lockSchema: lockSchema,
	lockFold:   lockFold,
	// A sequence gives its numbers before the commit: without a lock, a later event could be seen
	// before an earlier one.
	lockEvents: lockEvents,
	again:      postgresAgain,
	full:       func(err error) bool { return postgresCode(err) == "53100" },
}

// postgresAgain says whether the transaction lost a race. Names and references are looked up before
// they are written, so that a violation means that somebody else was faster: the next run finds it
// and says it in words.
func postgresAgain(err error) bool {
	switch postgresCode(err) {
	case "40001", "40P01", // serialization failure, deadlock
		"23505", "23503": // unique violation, foreign key violation
		return true
	}
	return false
}

func postgresCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// openPostgres prepares a pool; the first connection is made by the first transaction.
func openPostgres(url string) (*Store, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// pgx hides the password in what it says.
		return nil, core.Faultf(core.Invalid, "open database", "", "%w", err)
	}
	// bun writes values into the query: statements are hardly ever the same, and not worth preparing.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	db.SetConnMaxIdleTime(postgresIdle)
	both := bun.NewDB(db, pgdialect.New())
	return &Store{write: both, read: both, dialect: postgresDialect}, nil
}
