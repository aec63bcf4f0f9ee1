package brainframe

import (
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/store"
)

func (r routes) identities() {
	r.get("/identities", r.listIdentities)
	r.post("/identities", r.saveIdentity)
	r.get("/identities/:id", r.identity)
	r.delete("/identities/:id", r.deleteIdentity)
	r.post("/identities/:id/images", r.addImage)
	r.post("/identities/:id/vectors", r.addVector)
	r.get("/encodings", r.listEncodings)
	r.delete("/encodings", r.deleteEncodings)
	r.get("/encodings/:id", r.encoding)
	r.delete("/encodings/:id", r.deleteEncoding)
}

func (a *api) listIdentities(r *request) (any, error) {
	q, err := r.query()
	if err != nil {
		return nil, err
	}
	f, err := parseIdentityFilter(q)
	if err != nil {
		return nil, err
	}
	if none(q) {
		f.Page.Limit = 1
	}
	list, n, err := a.svc.Identities(r.Request.Context(), r.who, f)
	if err != nil {
		return nil, err
	}
	if none(q) {
		list = nil
	}
	total(r.Context, n)
	return mapped(list, toIdentity), nil
}

func (a *api) saveIdentity(r *request) (any, error) {
	i, err := body(r, parseIdentity)
	if err != nil {
		return nil, err
	}
	i, err = a.svc.SaveIdentity(r.Request.Context(), r.who, i)
	return toIdentity(i), err
}

func (a *api) identity(r *request) (any, error) {
	id, err := pathID[int64](r, "identity")
	if err != nil {
		return nil, err
	}
	i, err := a.svc.Identity(r.Request.Context(), r.who, id)
	return toIdentity(i), err
}

func (a *api) deleteIdentity(r *request) (any, error) {
	id, err := pathID[int64](r, "identity")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeleteIdentity(r.Request.Context(), r.who, id)
}

func (a *api) addImage(r *request) (any, error) {
	p, err := body(r, parsePicture)
	if err != nil {
		return nil, err
	}
	id, err := pathID[int64](r, "identity")
	if err != nil {
		return nil, err
	}
	v, err := a.svc.AddImage(r.Request.Context(), r.who, id, p.class, p.blob)
	if isOn(err, core.Exists, "encoding") { // the same picture by another upload
		err = refuse("ImageAlreadyEncodedError", err.Error())
	}
	return toEncoding(v), err
}

func (a *api) addVector(r *request) (any, error) {
	w, err := body(r, parseVector)
	if err != nil {
		return nil, err
	}
	id, err := pathID[int64](r, "identity")
	if err != nil {
		return nil, err
	}
	v, err := a.svc.AddVector(r.Request.Context(), r.who, id, w.class, w.values)
	return toEncoding(v), err
}

// listEncodings gives encodings, or with fields=class_name their classes, each once.
func (a *api) listEncodings(r *request) (any, error) {
	q, err := r.query()
	if err != nil {
		return nil, err
	}
	f, err := parseVectorFilter(q)
	if err != nil {
		return nil, err
	}
	fields := q.Text("fields")
	if fields != "" && fields != "class_name" {
		return nil, &httpx.FormatError{Field: "fields", Reason: "it may only be class_name"}
	}
	list, err := a.svc.Vectors(r.Request.Context(), r.who, f)
	if fields != "" {
		return toEncodingClasses(list), err
	}
	return mapped(list, toEncoding), err
}

// deleteEncodings deletes what the query chooses; without one, everything. A parameter that is
// sent empty is a mistake rather than everything.
func (a *api) deleteEncodings(r *request) (any, error) {
	q, err := r.query()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"identity_id", "class_name"} {
		if q.Has(name) && q.Text(name) == "" {
			return nil, &httpx.FormatError{Field: name, Reason: "is empty; leave it out to delete everything"}
		}
	}
	f, err := parseVectorFilter(q)
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeleteVectors(r.Request.Context(), r.who, store.VectorFilter{Identity: f.Identity, Class: f.Class})
}

func (a *api) encoding(r *request) (any, error) {
	id, err := pathID[core.VectorID](r, "encoding")
	if err != nil {
		return nil, err
	}
	v, err := a.svc.Vector(r.Request.Context(), r.who, id)
	return toEncoding(v), err
}

func (a *api) deleteEncoding(r *request) (any, error) {
	id, err := pathID[core.VectorID](r, "encoding")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeleteVector(r.Request.Context(), r.who, id)
}
