package core

import "time"

// TokenID is given by the store; it is unique within a server, from 1.
type TokenID int64

// Token is a key by which a program acts for a user, without the user's password.
type Token struct {
	ID      TokenID
	User    UserID
	Name    string // what it is for
	Role    Role   // what it may; where the user may less, only that
	Hash    string // of the secret, by SHA-256 in hexadecimal; never leaves the server
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // last, to some minutes; zero: never
}
