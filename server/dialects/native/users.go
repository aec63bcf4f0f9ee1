package native

import (
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// signIn begins a session. It is the one write that needs nobody to be known.
func (a *api) signIn(r *request, _ none, in credentials) (whoAmI, error) {
	if err := a.cross.Check(r.Request); err != nil {
		return whoAmI{}, core.Faultf(core.Denied, "", "origin", "a page of another origin may not do this: %w", err)
	}
	who, token, err := a.svc.Authenticate(service.From(r.ctx(), r.Request.RemoteAddr), in.Name, in.Password)
	if err != nil {
		return whoAmI{}, err
	}
	if token == "" {
		f := core.Faultf(core.Internal, "", "session", "it could not be saved")
		f.Hint = "make room for the database, and until then send the password with each request"
		return whoAmI{}, f
	}
	setSession(r.Context, token)
	return whoAmI{User: orNull(who.User), Name: who.Name, Role: string(who.Role), Via: viaSession}, nil
}

func (a *api) session(r *request, _ none) (whoAmI, error) {
	return whoAmI{User: orNull(r.who.User), Name: r.who.Name, Role: string(r.who.Role), Via: r.via}, nil
}

// signOut ends the session of the cookie that is sent.
func (a *api) signOut(r *request, _ none) (none, error) {
	if cookie, err := r.Request.Cookie(sessionCookie); err == nil {
		if err := a.svc.SignOut(r.ctx(), cookie.Value); err != nil {
			return none{}, err
		}
	}
	setSession(r.Context, "")
	return none{}, nil
}

func (a *api) listUsers(r *request, p pages) (page[user], error) {
	list, err := a.svc.Users(r.ctx(), r.who)
	if err != nil {
		return page[user]{}, err
	}
	return cut(list, p, func(u core.User) int64 { return int64(u.ID) }, toUser)
}

func (a *api) createUser(r *request, _ none, in userInput) (user, error) {
	u, err := a.svc.SaveUser(r.ctx(), r.who, core.User{Name: in.Name, Role: core.Role(in.Role)}, in.Password)
	return toUser(u), err
}

// user gives one user: any to administrators, themselves to the others.
func (a *api) user(r *request, p userPath) (user, error) {
	u, err := a.svc.User(r.ctx(), r.who, core.UserID(p.User))
	return toUser(u), err
}

func (a *api) changeUser(r *request, p userPath, in patch[userInput]) (user, error) {
	a.change.Lock()
	defer a.change.Unlock()
	old, err := a.svc.User(r.ctx(), r.who, core.UserID(p.User))
	if err != nil {
		return user{}, err
	}
	if err := r.unchanged(toUser(old)); err != nil {
		return user{}, err
	}
	next, err := in.of(userInput{Name: old.Name, Role: string(old.Role)})
	if err != nil {
		return user{}, err
	}
	u, err := a.svc.SaveUser(r.ctx(), r.who, core.User{ID: old.ID, Name: next.Name, Role: core.Role(next.Role)}, next.Password)
	return toUser(u), err
}

func (a *api) deleteUser(r *request, p userPath) (none, error) {
	id := core.UserID(p.User)
	return none{}, a.remove(r, func() (tagged, error) {
		u, err := a.svc.User(r.ctx(), r.who, id)
		return toUser(u), err
	}, func() error { return a.svc.DeleteUser(r.ctx(), r.who, id) })
}

func (a *api) listTokens(r *request, p pages) (page[token], error) {
	list, err := a.svc.Tokens(r.ctx(), r.who)
	if err != nil {
		return page[token]{}, err
	}
	return cut(list, p, func(k core.Token) int64 { return int64(k.ID) }, toToken)
}

// createToken is not for tokens: one that was stolen could outlive its end.
func (a *api) createToken(r *request, _ none, in tokenInput) (newToken, error) {
	if r.via == viaToken {
		f := core.Faultf(core.Denied, "", "role", "a token makes no tokens")
		f.Hint = "sign in by name and password"
		return newToken{}, f
	}
	k := core.Token{Name: in.Name, Role: core.Role(in.Role), User: core.UserID(in.User)}
	if in.Expires != nil {
		k.Expires = *in.Expires
	}
	k, secret, err := a.svc.CreateToken(r.ctx(), r.who, k)
	return newToken{toToken(k), secret}, err
}

func (a *api) revokeToken(r *request, p tokenPath) (none, error) {
	return none{}, a.svc.RevokeToken(r.ctx(), r.who, core.TokenID(p.Token))
}

// listAudit gives the newest first.
func (a *api) listAudit(r *request, p pages) (page[auditEntry], error) {
	before, err := p.after()
	if err != nil {
		return page[auditEntry]{}, err
	}
	list, err := a.svc.Audit(r.ctx(), r.who, before, int(p.Limit)+1)
	if err != nil {
		return page[auditEntry]{}, err
	}
	return more(list, p, func(e core.AuditEntry) int64 { return e.ID }, toAudit)
}
