package native

import (
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type identityList struct {
	pages
	Search     string `query:"search" description:"A part of unique name, nickname or metadata, whatever the case."`
	UniqueName string `query:"unique_name"`
	EncodedFor string `query:"encoded_for" description:"Only those that have a vector of this class."`
	Sort       string `query:"sort" default:"id" enum:"id,unique_name,nickname,metadata" description:"Metadata sorts by its JSON, none first."`
	Descending bool   `query:"descending"`
}

func (a *api) listIdentities(r *request, p identityList) (page[identity], error) {
	at, err := p.offset()
	if err != nil {
		return page[identity]{}, err
	}
	list, total, err := a.svc.Identities(r.ctx(), r.who, store.IdentityFilter{
		UniqueName: p.UniqueName, EncodedFor: p.EncodedFor, Search: p.Search, SortBy: p.Sort, Descending: p.Descending, Page: at,
	})
	if err != nil {
		return page[identity]{}, err
	}
	return page[identity]{Items: mapped(list, toIdentity), Next: nextOffset(at, len(list), total), Total: &total}, nil
}

func (a *api) createIdentity(r *request, _ none, in identityInput) (identity, error) {
	return a.saveIdentity(r, core.Identity{}, in)
}

func (a *api) saveIdentity(r *request, old core.Identity, in identityInput) (identity, error) {
	i, err := a.svc.SaveIdentity(r.ctx(), r.who, core.Identity{
		ID: old.ID, UniqueName: in.UniqueName, Nickname: in.Nickname, Metadata: filled(in.Metadata), EmptyNickname: old.EmptyNickname,
	})
	return toIdentity(i), err
}

func (a *api) identity(r *request, p identityPath) (identity, error) {
	i, err := a.svc.Identity(r.ctx(), r.who, p.Identity)
	return toIdentity(i), err
}

func (a *api) changeIdentity(r *request, p identityPath, in patch[identityInput]) (identity, error) {
	a.change.Lock()
	defer a.change.Unlock()
	old, err := a.svc.Identity(r.ctx(), r.who, p.Identity)
	if err != nil {
		return identity{}, err
	}
	if err := r.unchanged(toIdentity(old)); err != nil {
		return identity{}, err
	}
	next, err := in.of(identityInput{UniqueName: old.UniqueName, Nickname: old.Nickname, Metadata: old.Metadata})
	if err != nil {
		return identity{}, err
	}
	return a.saveIdentity(r, old, next)
}

func (a *api) deleteIdentity(r *request, p identityPath) (none, error) {
	return none{}, a.remove(r, func() (tagged, error) {
		i, err := a.svc.Identity(r.ctx(), r.who, p.Identity)
		return toIdentity(i), err
	}, func() error { return a.svc.DeleteIdentity(r.ctx(), r.who, p.Identity) })
}

func (a *api) addImage(r *request, p identityPath, in imageInput) (vector, error) {
	v, err := a.svc.AddImage(r.ctx(), r.who, p.Identity, in.Class, core.BlobID(in.Blob))
	return toVector(v, true), err
}

func (a *api) addVector(r *request, p identityPath, in vectorInput) (vector, error) {
	v, err := a.svc.AddVector(r.ctx(), r.who, p.Identity, in.Class, in.Values)
	return toVector(v, true), err
}

type vectorList struct {
	pages
	Identity int64  `query:"identity" minimum:"1" description:"Only those of this identity."`
	Class    string `query:"class" description:"Only those of this class."`
	Values   bool   `query:"values" description:"With their numbers."`
}

func (a *api) listVectors(r *request, p vectorList) (page[vector], error) {
	list, err := a.svc.Vectors(r.ctx(), r.who, store.VectorFilter{Identity: p.Identity, Class: p.Class})
	if err != nil {
		return page[vector]{}, err
	}
	return cut(list, p.pages, func(v core.Vector) int64 { return int64(v.ID) }, func(v core.Vector) vector { return toVector(v, p.Values) })
}

func (a *api) vector(r *request, p vectorPath) (vector, error) {
	v, err := a.svc.Vector(r.ctx(), r.who, core.VectorID(p.Vector))
	return toVector(v, true), err
}

func (a *api) deleteVector(r *request, p vectorPath) (none, error) {
	return none{}, a.svc.DeleteVector(r.ctx(), r.who, core.VectorID(p.Vector))
}

type vectorsOf struct {
	identityPath
	Class string `query:"class" description:"Only those of this class."`
}

func (a *api) deleteVectors(r *request, p vectorsOf) (none, error) {
	if _, err := a.svc.Identity(r.ctx(), r.who, p.Identity); err != nil {
		return none{}, err
	}
	return none{}, a.svc.DeleteVectors(r.ctx(), r.who, store.VectorFilter{Identity: p.Identity, Class: p.Class})
}
