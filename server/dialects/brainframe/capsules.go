package brainframe

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

func (r routes) capsules() {
	r.get("/plugins", r.listCapsules)
	r.put("/plugins", r.loadCapsule)
	r.get("/plugins/:name", r.capsule)
	r.delete("/plugins/:name", r.unloadCapsule)
	for _, p := range []string{"/plugins/:name", "/streams/:id/plugins/:name"} {
		r.get(p+"/options", r.options)
		r.put(p+"/options", r.setOptions)
		r.patch(p+"/options", r.setOptions)
		r.get(p+"/active", r.active)
		r.put(p+"/active", r.setActive)
	}
	r.post("/process_image", r.processImage)
}

func (a *api) listCapsules(r *request) (any, error) {
	list, err := a.svc.Capsules(r.Request.Context(), r.who)
	found := foundBy(list)
	return mapped(list, func(i service.CapsuleInfo) capsule { return toCapsule(i, found) }), err
}

// answer tells of one capsule as the list does.
func (a *api) answer(r *request, info service.CapsuleInfo) (any, error) {
	list, err := a.svc.Capsules(r.Request.Context(), r.who)
	return toCapsule(info, foundBy(list)), err
}

func (a *api) loadCapsule(r *request) (any, error) {
	u, err := body(r, parseUpload)
	if err != nil {
		return nil, err
	}
	info, err := a.svc.LoadCapsule(r.Request.Context(), r.who, u.blob, u.name)
	if err != nil {
		return nil, err
	}
	return a.answer(r, info)
}

func (a *api) capsuleOf(r *request) (service.CapsuleInfo, error) {
	name, err := r.name()
	if err != nil {
		return service.CapsuleInfo{}, err
	}
	return a.svc.Capsule(r.Request.Context(), r.who, name)
}

func (a *api) capsule(r *request) (any, error) {
	info, err := a.capsuleOf(r)
	if err != nil {
		return nil, err
	}
	return a.answer(r, info)
}

func (a *api) unloadCapsule(r *request) (any, error) {
	name, err := r.name()
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.UnloadCapsule(r.Request.Context(), r.who, name)
}

// target reads what a setting is about: a capsule, and a stream or (0) all.
func (a *api) target(r *request) (service.CapsuleInfo, core.StreamNumber, error) {
	n, err := core.StreamNumber(0), error(nil)
	if r.Param("id") != "" {
		if n, err = pathID[core.StreamNumber](r, "stream"); err != nil {
			return service.CapsuleInfo{}, 0, err
		}
		if _, err = a.svc.Stream(r.Request.Context(), r.who, n); err != nil {
			return service.CapsuleInfo{}, 0, err
		}
	}
	info, err := a.capsuleOf(r)
	return info, n, err
}

// options gives all values for all streams; for one stream those only that are its own.
func (a *api) options(r *request) (any, error) {
	info, n, err := a.target(r)
	if err != nil {
		return nil, err
	}
	s, err := a.svc.Setting(r.Request.Context(), r.who, info.Declaration.Name, n)
	if err != nil {
		return nil, err
	}
	values := toValues(info.Declaration, s.Options)
	for _, o := range info.Declaration.Options {
		if _, ok := values[o.Name]; !ok && n == 0 {
			values[o.Name] = toValue(o, o.Default)
		}
	}
	return values, nil
}

// setOptions replaces what is set (PUT), or changes what is given (PATCH), where null takes back.
func (a *api) setOptions(r *request) (any, error) {
	v, err := r.json()
	if err != nil {
		return nil, err
	}
	info, n, err := a.target(r)
	if err != nil {
		return nil, err
	}
	values, err := parseValues(info.Declaration, v)
	if err != nil {
		return nil, err
	}
	if err := a.keepSecrets(r, info, n, values); err != nil {
		return nil, err
	}
	merge := r.Request.Method == http.MethodPatch
	err = a.svc.SetOptions(r.Request.Context(), r.who, info.Declaration.Name, n, values, merge)
	return nothing{}, badOption(err)
}

// keepSecrets puts in the secrets that come back empty, as they were told: they are not changed.
func (a *api) keepSecrets(r *request, info service.CapsuleInfo, n core.StreamNumber, values map[string]any) error {
	for _, o := range info.Declaration.Options {
		if o.Type != core.SecretOption || values[o.Name] != "" {
			continue
		}
		s, err := a.svc.Setting(r.Request.Context(), r.who, info.Declaration.Name, n)
		if err != nil {
			return err
		}
		delete(values, o.Name)
		if old, ok := s.Options[o.Name]; ok {
			values[o.Name] = old
		}
	}
	return nil
}

// badOption names a value that is not allowed by what it is: an option's.
func badOption(err error) error {
	if core.KindOf(err) == core.Invalid {
		return refuse("InvalidPluginOptionError", err.Error())
	}
	return err
}

func (a *api) active(r *request) (any, error) {
	info, n, err := a.target(r)
	if err != nil {
		return nil, err
	}
	s, err := a.svc.Setting(r.Request.Context(), r.who, info.Declaration.Name, n)
	if n == 0 && s.Active == nil {
		return info.Active, err
	}
	return s.Active, err
}

func (a *api) setActive(r *request) (any, error) {
	on, err := body(r, parseTristate)
	if err != nil {
		return nil, err
	}
	info, n, err := a.target(r)
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.SetActive(r.Request.Context(), r.who, info.Declaration.Name, n, on)
}

// processImage runs capsules on a picture. Both parts of the form are files.
func (a *api) processImage(r *request) (any, error) {
	r.limitTime()
	image, metadata, err := a.readForm(r)
	if r.bodyRead(err) != nil {
		return nil, err
	}
	v, err := httpx.ParseJSON(metadata)
	if err != nil {
		return nil, err
	}
	j, err := parseJob(v)
	if err != nil {
		return nil, err
	}
	ctx := r.Request.Context()
	for name, values := range j.options {
		info, err := a.svc.Capsule(ctx, r.who, name)
		if err != nil {
			return nil, err
		}
		fromWire(info.Declaration, values)
	}
	nodes, err := a.svc.ProcessImage(ctx, r.who, image, j.capsules, j.options)
	return toDetections(nodes), err
}

// readForm reads the parts image and metadata, whatever their order; others are passed over.
func (a *api) readForm(r *request) (image, metadata []byte, err error) {
	form, err := r.Request.MultipartReader()
	if err != nil {
		return nil, nil, &httpx.FormatError{Field: "body", Reason: "it must be multipart/form-data with the files image and metadata"}
	}
	for parts := 0; ; parts++ {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			if len(image) == 0 || len(metadata) == 0 {
				return nil, nil, &httpx.FormatError{Field: "body", Reason: "the files image and metadata must be there, and not be empty"}
			}
			return image, metadata, nil
		case err != nil:
			return nil, nil, &httpx.SyntaxError{Reason: "the form cannot be read: " + err.Error()}
		case parts == 16:
			return nil, nil, &httpx.FormatError{Field: "body", Reason: "the form has more than 16 parts"}
		case part.FormName() == "image":
			image, err = readPart(part, a.opt.MaxPicture)
		case part.FormName() == "metadata":
			metadata, err = readPart(part, r.limit)
		default:
			_, err = readPart(part, r.limit)
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

func readPart(p *multipart.Part, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(p, limit+1))
	if err != nil {
		return nil, &httpx.SyntaxError{Reason: "the form broke off: " + err.Error()}
	}
	if int64(len(b)) > limit {
		return nil, &httpx.TooLargeError{Limit: limit}
	}
	return b, nil
}
