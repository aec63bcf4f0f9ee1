package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

const (
	// TokenPrefix begins every API token, so that people and scanners of leaks know one.
	TokenPrefix = "cap_"
	maxTokens   = 100 // of one user
	// usedEvery is how exactly is known when a token was last used: not every request is a write.
	usedEvery = 5 * time.Minute
)

// Tokens lists the tokens of the caller; of everybody for administrators. Hashes are left out.
func (s *Service) Tokens(ctx context.Context, c Caller) (list []core.Token, err error) {
	of := c.User
	if c.Role.May(core.Admin) {
		of = 0
	} else if of == 0 {
		return []core.Token{}, may(c, core.Viewer)
	}
	err = s.view(ctx, c, func(tx store.Tx) error { list, err = tx.Tokens(of); return err })
	for i := range list {
		list[i].Hash = ""
	}
	return list, err
}

// CreateToken makes a token for the caller, or (administrators) for another user, and gives its
// secret, which is shown this once. Denied on "role" where it could do more than the caller or its
// user. The times of k but Expires do not matter.
func (s *Service) CreateToken(ctx context.Context, c Caller, k core.Token) (core.Token, string, error) {
	now := s.cfg.Now().UTC()
	if k.User == 0 {
		k.User = c.User
	}
	switch {
	case !c.Role.May(core.Viewer):
		return k, "", may(c, core.Viewer)
	case k.User == 0:
		return k, "", invalid("token", "a token belongs to a user, and nobody is signed in")
	case k.User != c.User && !c.Role.May(core.Admin):
		return k, "", may(c, core.Admin)
	case !k.Role.May(core.Viewer):
		return k, "", invalid("token", "role %q is not one of viewer, editor, admin", k.Role)
	case k.Name == "" || len(k.Name) > maxName:
		return k, "", invalid("token", "its name has %d bytes; want 1 to %d", len(k.Name), maxName)
	case !k.Expires.IsZero() && !k.Expires.After(now):
		return k, "", invalid("token", "it would be over since %s", k.Expires.UTC().Format(time.RFC3339))
	}
	if err := may(c, k.Role); err != nil {
		return k, "", err
	}
	secret := TokenPrefix + strings.ToLower(rand.Text())
	k.ID, k.Hash, k.Created, k.Used, k.Expires = 0, tokenHash(secret), now, time.Time{}, k.Expires.UTC()
	err := s.cfg.Store.Update(ctx, func(tx store.Tx) error { return makeToken(tx, c, &k) })
	k.Hash = ""
	return k, secret, err
}

func makeToken(tx store.Tx, c Caller, k *core.Token) error {
	u, err := tx.User(k.User)
	if err != nil {
		return on("user", err)
	}
	if !u.Role.May(k.Role) {
		return core.Faultf(core.Denied, "", "role", "%q has the role %q; a token of theirs has no more", u.Name, u.Role)
	}
	there, err := tx.Tokens(k.User)
	if err != nil {
		return err
	}
	if len(there) >= maxTokens {
		f := invalid("token", "%q has %d tokens already, which is the most", u.Name, len(there))
		f.Hint = "revoke those that are not used"
		return f
	}
	k.ID = 0 // a transaction may run more than once
	id, err := tx.SaveToken(*k)
	if err != nil {
		return on("token", err)
	}
	k.ID = id
	return tx.SaveAudit(core.AuditEntry{At: k.Created, User: c.Name, Action: "create token", Object: k.Name + " of " + u.Name})
}

// RevokeToken ends a token: one's own, or (administrators) anybody's.
func (s *Service) RevokeToken(ctx context.Context, c Caller, id core.TokenID) error {
	if err := may(c, core.Viewer); err != nil {
		return err
	}
	return s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		k, err := tx.Token(id)
		if err == nil && k.User != c.User && !c.Role.May(core.Admin) {
			err = core.Faultf(core.NotFound, "", "token", "there is no token %d of yours", id)
		}
		if err == nil {
			err = tx.DeleteToken(id)
		}
		if err != nil {
			return on("token", err)
		}
		return tx.SaveAudit(core.AuditEntry{At: s.cfg.Now().UTC(), User: c.Name, Action: "revoke token", Object: k.Name})
	})
}

// Bearer gives the caller of a token: Denied on "credentials" when it is unknown or over. What it
// may is the least of what the token and its user may.
func (s *Service) Bearer(ctx context.Context, secret string) (Caller, error) {
	denied := core.Faultf(core.Denied, "", "credentials", "the token is unknown or over")
	if !strings.HasPrefix(secret, TokenPrefix) || len(secret) > 100 {
		return Caller{}, denied
	}
	b, err := recall(s.memory, "token "+tokenHash(secret), func() (b bearer, err error) {
		err = s.cfg.Store.View(ctx, func(tx store.Tx) (err error) {
			if b.token, err = tx.TokenHashed(tokenHash(secret)); err == nil {
				b.user, err = tx.User(b.token.User)
			}
			return err
		})
		return b, err
	})
	k, u, now := b.token, b.user, s.cfg.Now().UTC()
	switch {
	case core.KindOf(err) == core.NotFound:
		return Caller{}, denied
	case err != nil:
		return Caller{}, err
	case !k.Expires.IsZero() && !k.Expires.After(now):
		return Caller{}, denied
	}
	if now.Sub(k.Used) >= usedEvery {
		s.noteUse(ctx, k.ID, now)
	}
	role := k.Role
	if !u.Role.May(role) {
		role = u.Role
	}
	return Caller{User: u.ID, Name: u.Name + " (token " + k.Name + ")", Role: role}, nil
}

// bearer is who has a token.
type bearer struct {
	token core.Token
	user  core.User
}

// noteUse writes down when a token was used. That it cannot is no reason to turn anybody away.
func (s *Service) noteUse(ctx context.Context, id core.TokenID, now time.Time) {
	err := s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		k, err := tx.Token(id)
		if err != nil || now.Sub(k.Used) < usedEvery {
			return err
		}
		k.Used = now
		_, err = tx.SaveToken(k)
		return err
	})
	if err != nil && core.KindOf(err) != core.NotFound {
		s.log.Warn("when a token was used could not be saved", "token", id, "err", err)
	}
}

// tokenHash needs no salt and no slow function: a secret has 130 bits of chance.
func tokenHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// SignOut ends a session; one that is unknown is no fault.
func (s *Service) SignOut(ctx context.Context, token string) error {
	id, _, _ := strings.Cut(token, ".")
	return s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		u, err := sessionUser(tx, id)
		if err == nil {
			err = tx.DeleteSession(hashed(token, u))
		}
		if core.KindOf(err) == core.NotFound {
			return nil
		}
		return err
	})
}
