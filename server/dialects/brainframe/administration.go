package brainframe

import (
	"bytes"
	"encoding/base64"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

func (r routes) administration() {
	r.get("/premises", r.listPremises)
	r.post("/premises", r.savePremises)
	r.get("/premises/:id", r.onePremises)
	r.delete("/premises/:id", r.deletePremises)
	r.get("/users", r.listUsers)
	r.post("/users", r.saveUser)
	r.get("/users/:id", r.user)
	r.delete("/users/:id", r.deleteUser)
	r.get("/license", func(*request) (any, error) { return r.license(), nil })
	r.put("/license", r.setLicense)
	r.put("/cloud_tokens", r.setCloudTokens)
	r.get("/cloud_user", r.cloudUser)
	r.get("/oauth2_info", func(*request) (any, error) { return oauth2Info{Scopes: []string{}}, nil })
}

func (a *api) listPremises(r *request) (any, error) {
	list, err := a.svc.Premises(r.Request.Context(), r.who)
	return mapped(list, toPremises), err
}

func (a *api) savePremises(r *request) (any, error) {
	p, err := body(r, parsePremises)
	if err != nil {
		return nil, err
	}
	p, err = a.svc.SavePremises(r.Request.Context(), r.who, p)
	return toPremises(p), err
}

func (a *api) onePremises(r *request) (any, error) {
	id, err := pathID[core.PremisesID](r, "premises")
	if err != nil {
		return nil, err
	}
	p, err := a.svc.OnePremises(r.Request.Context(), r.who, id)
	return toPremises(p), err
}

func (a *api) deletePremises(r *request) (any, error) {
	id, err := pathID[core.PremisesID](r, "premises")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeletePremises(r.Request.Context(), r.who, id)
}

// wireRole says whether the client knows a role. It fails on the role viewer, and would make an
// editor of one that was told to it as something else.
func wireRole(r core.Role) bool { return r == core.Editor || r == core.Admin }

func (a *api) listUsers(r *request) (any, error) {
	list, err := a.svc.Users(r.Request.Context(), r.who)
	known := make([]core.User, 0, len(list))
	for _, u := range list {
		if wireRole(u.Role) {
			known = append(known, u)
		}
	}
	return mapped(known, toUser), err
}

func (a *api) saveUser(r *request) (any, error) {
	v, err := r.json()
	if err != nil {
		return nil, err
	}
	u, password, err := parseUser(v)
	if err != nil {
		return nil, err
	}
	u, err = a.svc.SaveUser(r.Request.Context(), r.who, u, password)
	return toUser(u), err
}

func (a *api) user(r *request) (any, error) {
	id, err := pathID[core.UserID](r, "user")
	if err != nil {
		return nil, err
	}
	u, err := a.svc.User(r.Request.Context(), r.who, id)
	if err == nil && !wireRole(u.Role) {
		err = core.Faultf(core.NotFound, "", "user", "user %d is a %s, whom this API does not know", id, u.Role)
	}
	return toUser(u), err
}

func (a *api) deleteUser(r *request) (any, error) {
	id, err := pathID[core.UserID](r, "user")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeleteUser(r.Request.Context(), r.who, id)
}

// journalAge is a hundred years, in seconds: nothing is deleted for its age because of a licence.
const journalAge = 100 * 365.25 * 86400

// license is always valid: Capstan is free, and asks nobody.
func (a *api) license() licenseInfo {
	return licenseInfo{State: "valid", Terms: licenseTerms{MaxStreams: a.opt.MaxStreams, JournalMaxAllowedAge: journalAge}}
}

// admin keeps from the licence and the cloud whoever is not an administrator.
func admin(r *request) error {
	if !r.who.Role.May(core.Admin) {
		return refuse("InsufficientRoleError", "only an administrator may do this")
	}
	return nil
}

// setLicense takes any key that could be one, and keeps none.
func (a *api) setLicense(r *request) (any, error) {
	if err := admin(r); err != nil {
		return nil, err
	}
	r.limitTime()
	key, err := httpx.ReadAll(r.Request, a.opt.MaxJSON)
	if r.bodyRead(err) != nil {
		return nil, err
	}
	key = bytes.TrimSpace(key)
	if _, err := base64.StdEncoding.Strict().DecodeString(string(key)); err != nil || len(key) == 0 {
		return nil, refuse("LicenseInvalidError", "the key is not base64; none is needed here")
	}
	return a.license(), nil
}

func (a *api) setCloudTokens(r *request) (any, error) {
	if err := admin(r); err != nil {
		return nil, err
	}
	if _, err := body(r, parseTokens); err != nil {
		return nil, err
	}
	return nil, refuse("UnauthorizedTokensError", "this server belongs to no cloud: no tokens are accepted")
}

func (a *api) cloudUser(*request) (any, error) {
	return nil, refuse("CloudUserNotFoundError", "this server belongs to no cloud: nobody is signed in")
}
