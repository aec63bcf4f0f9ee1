package service

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

const (
	// sessionLife is long: clients lose what they upload when a session ends meanwhile.
	sessionLife = 30 * 24 * time.Hour
	// A name may fail so often at once; each failure after that locks it for twice as long. The same
	// wrong password again is no guess: it locks the name for the address alone from which it comes.
	freeFailures = 5
	keptFailures = 4 // passwords of a name that are known to be wrong; fewer than freeFailures
	firstLock    = time.Second
	longestLock  = 5 * time.Minute
	longestHere  = 10 * time.Second // for one address
	maxGuarded   = 10_000
	maxPassword  = 72 // bytes; bcrypt looks at no more
)

// firstUser makes the administrator of a new store, and gives the password when it was generated.
func (s *Service) firstUser(ctx context.Context) (string, error) {
	password, shown := s.cfg.Password, ""
	if password == "" {
		password = strings.ToLower(rand.Text()[:16])
		shown = password
	}
	var there []core.User
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) { there, err = tx.Users(); return err })
	if err != nil || len(there) > 0 {
		return "", err
	}
	hash, err := s.door.hash(password)
	if err != nil {
		return "", err
	}
	err = s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		_, err := tx.SaveUser(core.User{Name: "admin", Role: core.Admin, Hash: hash})
		if err != nil {
			return err
		}
		return tx.SaveAudit(core.AuditEntry{At: s.cfg.Now().UTC(), User: "capstan", Action: "create user", Object: "admin"})
	})
	return shown, err
}

// guard holds passwords against hashes, and makes those wait who guess.
type guard struct {
	now   func() time.Time
	cost  int
	dummy []byte // compared where there is no user, so that this takes as long
	key   [sha256.Size]byte

	mu     sync.Mutex
	failed map[string]failures
}

type failures struct {
	n     int
	until time.Time
	last  []digest // the newest first, at most keptFailures
}

// digest is a password that was held against a hash, by the guard's key.
type digest [sha256.Size]byte

func newGuard(now func() time.Time, cost int) *guard {
	dummy, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	if err != nil {
		dummy = nil // a cost that cannot be is refused with the first password
	}
	g := &guard{now: now, cost: cost, dummy: dummy, failed: map[string]failures{}}
	_, _ = rand.Read(g.key[:]) // never fails
	return g
}

func (g *guard) hash(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", invalid("user", "the password has %d bytes; want 1 to %d", len(password), maxPassword)
	}
	h, err := bcrypt.GenerateFromPassword([]byte(password), g.cost)
	if err != nil {
		return "", core.Faultf(core.Internal, "", "user", "%w", err)
	}
	return string(h), nil
}

// from is the key of the context under which From keeps an address.
type from struct{}

// From says from which address somebody asks, as "10.0.0.7:5123" or without the port. Without it all
// ask from the same one.
func From(ctx context.Context, address string) context.Context {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return context.WithValue(ctx, from{}, address)
}

// here is the key of a name that is tried from the address of ctx.
func here(ctx context.Context, name string) string {
	address, _ := ctx.Value(from{}).(string)
	return name + "\x00" + address
}

// locked says for how long the name is locked yet, for everybody or for the address of ctx.
func (g *guard) locked(ctx context.Context, name string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(g.leftLocked(name, longestLock), g.leftLocked(here(ctx, name), longestHere))
}

func (g *guard) leftLocked(key string, longest time.Duration) time.Duration {
	f, now := g.failed[key], g.now()
	if f.until.Sub(now) > longest { // the clock was set back
		f.until = now.Add(longest)
		g.failed[key] = f
	}
	return f.until.Sub(now)
}

func (g *guard) digest(password string, hash []byte) digest {
	h := hmac.New(sha256.New, g.key[:])
	h.Write(hash)
	h.Write([]byte("\x00" + password))
	return digest(h.Sum(nil))
}

// failedLately says whether the password was found wrong for the name, and counts that. A desktop
// client that was left with an old password asks ten times a second: that is no guess, must lock out
// nobody elsewhere, and is not worth the time of a hash.
func (g *guard) failedLately(ctx context.Context, name string, d digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.failed[name].last, d) {
		return false
	}
	g.failLocked(here(ctx, name), longestHere)
	return true
}

// note counts a password that was held against a hash.
func (g *guard) note(ctx context.Context, name string, d digest, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ok {
		delete(g.failed, name)
		delete(g.failed, here(ctx, name))
		return
	}
	g.failLocked(here(ctx, name), longestHere)
	if g.failLocked(name, longestLock) {
		f := g.failed[name]
		f.last = slices.Insert(f.last[:min(len(f.last), keptFailures-1)], 0, d)
		g.failed[name] = f
	}
}

// failLocked counts a failure, and says whether there was room for it.
func (g *guard) failLocked(key string, longest time.Duration) bool {
	now := g.now()
	f, known := g.failed[key]
	if !known && len(g.failed) >= maxGuarded {
		maps.DeleteFunc(g.failed, func(_ string, f failures) bool { return f.until.Before(now) })
		if len(g.failed) >= maxGuarded {
			return false
		}
	}
	f.n++
	f.until = now
	if f.n >= freeFailures {
		f.until = now.Add(min(longest, firstLock<<min(f.n-freeFailures, 16)))
	}
	g.failed[key] = f
	return true
}

// Authenticate gives the caller for a name and password, and a new session's token; none when the
// database does not take it. Denied on "credentials", also while the name is locked after too many
// failures, for everybody or for the address that From has put into ctx.
func (s *Service) Authenticate(ctx context.Context, name, password string) (Caller, string, error) {
	if left := s.door.locked(ctx, name); left > 0 {
		return Caller{}, "", core.Faultf(core.Denied, "", "credentials", "too many wrong passwords; try again in %s", left.Round(time.Second)+time.Second)
	}
	var u core.User
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) { u, err = tx.UserNamed(name); return err })
	if err != nil && core.KindOf(err) != core.NotFound {
		return Caller{}, "", err
	}
	hash := []byte(u.Hash)
	if err != nil {
		hash = s.door.dummy
	}
	wrong := core.Faultf(core.Denied, "", "credentials", "name or password is wrong")
	d := s.door.digest(password, hash)
	if s.door.failedLately(ctx, name, d) {
		return Caller{}, "", wrong
	}
	ok := bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && err == nil && len(password) <= maxPassword
	s.door.note(ctx, name, d, ok)
	if !ok {
		return Caller{}, "", wrong
	}
	token := fmt.Sprintf("%d.%s", u.ID, rand.Text())
	now := s.cfg.Now()
	err = s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		if err := tx.DeleteSessions(now); err != nil {
			return err
		}
		return tx.SaveSession(store.Session{Token: hashed(token, u), User: u.ID, Expires: now.Add(sessionLife).UTC()})
	})
	if core.KindOf(err) == core.Internal { // a full disk is for administrators to look at, too
		s.log.Error("a session could not be saved", "user", u.Name, "err", err)
		token, err = "", nil
	}
	return Caller{u.ID, u.Name, u.Role}, token, err
}

// hashed is how a token is stored. With another password the sessions of a user are over.
func hashed(token string, u core.User) string {
	sum := sha256.Sum256([]byte(token + "\x00" + u.Hash))
	return hex.EncodeToString(sum[:])
}

// Resume gives the caller of a session: Denied on "session" when it is unknown or over.
func (s *Service) Resume(ctx context.Context, token string) (Caller, error) {
	over := core.Faultf(core.Denied, "", "session", "it is unknown or over")
	text, _, ok := strings.Cut(token, ".")
	id, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return Caller{}, over
	}
	k, err := recall(s.memory, "session "+token, func() (signedIn, error) { return s.signedIn(ctx, core.UserID(id), token) })
	switch {
	case core.KindOf(err) == core.NotFound:
		return Caller{}, over
	case err != nil:
		return Caller{}, err
	case !k.expires.After(s.cfg.Now()):
		return Caller{}, over
	}
	return k.caller, nil
}

// signedIn is who has a session, and until when.
type signedIn struct {
	caller  Caller
	expires time.Time
}

func (s *Service) signedIn(ctx context.Context, id core.UserID, token string) (signedIn, error) {
	var u core.User
	var session store.Session
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) {
		if u, err = tx.User(id); err == nil {
			session, err = tx.Session(hashed(token, u))
		}
		return err
	})
	return signedIn{Caller{u.ID, u.Name, u.Role}, session.Expires}, err
}

// Anonymous gives the caller without credentials: Denied on "credentials" where authorization is on.
func (s *Service) Anonymous() (Caller, error) {
	if s.cfg.NoAuth {
		return Caller{Name: "anybody", Role: core.Admin}, nil
	}
	return Caller{}, core.Faultf(core.Denied, "", "credentials", "a name and a password, or an API token, are needed")
}

// Users lists the users, for administrators.
func (s *Service) Users(ctx context.Context, c Caller) (list []core.User, err error) {
	if err := may(c, core.Admin); err != nil {
		return nil, err
	}
	err = s.view(ctx, c, func(tx store.Tx) error { list, err = tx.Users(); return err })
	for i := range list {
		list[i].Hash = ""
	}
	return list, err
}

// User gives one user, for administrators and the user.
func (s *Service) User(ctx context.Context, c Caller, id core.UserID) (u core.User, err error) {
	if c.User != id || id == 0 {
		if err := may(c, core.Admin); err != nil {
			return u, err
		}
	}
	err = s.view(ctx, c, func(tx store.Tx) error { u, err = tx.User(id); return on("user", err) })
	u.Hash = ""
	return u, err
}

// SaveUser makes or changes a user, for administrators; an empty password keeps the old one.
// Denied on "admin" when nobody would be an administrator any more.
func (s *Service) SaveUser(ctx context.Context, c Caller, u core.User, password string) (core.User, error) {
	if err := may(c, core.Admin); err != nil {
		return u, err
	}
	hash := ""
	if password != "" || u.ID == 0 {
		var err error
		if hash, err = s.door.hash(password); err != nil {
			return u, err
		}
	}
	switch {
	case u.Name == "" || len(u.Name) > maxName || strings.ContainsAny(u.Name, ":\x00\n"):
		return u, invalid("user", "the name %.40q; want 1 to %d bytes without a colon", u.Name, maxName)
	case !core.Admin.May(u.Role) || u.Role == "" || !u.Role.May(core.Viewer):
		return u, invalid("user", "role %q is not one of viewer, editor, admin", u.Role)
	}
	given := u
	err := s.update(ctx, c, "save user", func(tx store.Tx) (string, error) {
		u = given
		u.Hash = hash
		if u.ID != 0 {
			old, err := tx.User(u.ID)
			if err != nil {
				return "", on("user", err)
			}
			if hash == "" {
				u.Hash = old.Hash
			}
			if u.Role != core.Admin {
				if err := oneAdminBut(tx, u.ID); err != nil {
					return "", err
				}
			}
		}
		id, err := tx.SaveUser(u)
		if err == nil {
			u.ID = id
		}
		return u.Name, on("user", err)
	})
	u.Hash = ""
	return u, err
}

// oneAdminBut refuses to leave nobody who is an administrator but this user.
func oneAdminBut(tx store.Tx, id core.UserID) error {
	list, err := tx.Users()
	if err != nil {
		return err
	}
	for _, u := range list {
		if u.ID != id && u.Role == core.Admin {
			return nil
		}
	}
	return core.Faultf(core.Denied, "", "admin", "the last administrator stays one")
}

// DeleteUser deletes a user, for administrators; Denied on "admin" for the last of those.
func (s *Service) DeleteUser(ctx context.Context, c Caller, id core.UserID) error {
	if err := may(c, core.Admin); err != nil {
		return err
	}
	return s.update(ctx, c, "delete user", func(tx store.Tx) (string, error) {
		u, err := tx.User(id)
		if err != nil {
			return "", on("user", err)
		}
		if u.Role == core.Admin {
			if err := oneAdminBut(tx, id); err != nil {
				return "", err
			}
		}
		return u.Name, on("user", tx.DeleteUser(id))
	})
}
