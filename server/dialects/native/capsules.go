package native

import (
	"encoding/json"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

func (a *api) listCapsules(r *request, p pages) (page[capsule], error) {
	list, err := a.svc.Capsules(r.ctx(), r.who)
	if err != nil {
		return page[capsule]{}, err
	}
	at, err := p.offset()
	if err != nil {
		return page[capsule]{}, err
	}
	total := len(list)
	list = list[min(at.Offset, total):]
	list = list[:min(at.Limit, len(list))]
	return page[capsule]{Items: mapped(list, toCapsule), Next: nextOffset(at, len(list), total), Total: &total}, nil
}

func (a *api) capsule(r *request, p capsulePath) (capsule, error) {
	info, err := a.svc.Capsule(r.ctx(), r.who, p.Capsule)
	return toCapsule(info), err
}

func (a *api) loadCapsule(r *request, _ none, in capsuleUpload) (capsule, error) {
	info, err := a.svc.LoadCapsule(r.ctx(), r.who, core.BlobID(in.Blob), in.Name)
	return toCapsule(info), err
}

func (a *api) unloadCapsule(r *request, p capsulePath) (none, error) {
	return none{}, a.svc.UnloadCapsule(r.ctx(), r.who, p.Capsule)
}

type ownSettingPath struct {
	streamPath
	capsulePath
}

func (a *api) setting(r *request, p capsulePath) (setting, error) {
	return a.settingOf(r, p.Capsule, 0)
}

func (a *api) ownSetting(r *request, p ownSettingPath) (setting, error) {
	return a.settingOf(r, p.Capsule, core.StreamNumber(p.Stream))
}

func (a *api) settingOf(r *request, name string, n core.StreamNumber) (setting, error) {
	info, err := a.svc.Capsule(r.ctx(), r.who, name)
	if err != nil {
		return setting{}, err
	}
	s, err := a.svc.Setting(r.ctx(), r.who, name, n)
	return setting{Capsule: name, Stream: orNull(n), Active: s.Active, Options: toValues(info.Declaration, s.Options)}, err
}

func (a *api) changeSetting(r *request, p capsulePath, in patch[settingInput]) (setting, error) {
	return a.changeSettingOf(r, p.Capsule, 0, in)
}

func (a *api) changeOwnSetting(r *request, p ownSettingPath, in patch[settingInput]) (setting, error) {
	return a.changeSettingOf(r, p.Capsule, core.StreamNumber(p.Stream), in)
}

// changeSettingOf changes what is given: null takes an option, all options, or active back.
func (a *api) changeSettingOf(r *request, name string, n core.StreamNumber, in patch[settingInput]) (setting, error) {
	a.change.Lock()
	defer a.change.Unlock()
	now, err := a.settingOf(r, name, n)
	if err != nil {
		return setting{}, err
	}
	if err := r.unchanged(now); err != nil {
		return setting{}, err
	}
	given, err := in.of(settingInput{})
	if err != nil {
		return setting{}, err
	}
	if in.has("options") {
		options, whole := in.members["options"].(map[string]any)
		values := given.Options
		for option, v := range options { // nulls, which the merge has taken out
			if v == nil {
				values = filled(values)
				values[option] = nil
			}
		}
		if err := a.svc.SetOptions(r.ctx(), r.who, name, n, filled(values), whole); err != nil {
			return setting{}, err
		}
	}
	if in.has("active") {
		if err := a.svc.SetActive(r.ctx(), r.who, name, n, given.Active); err != nil {
			return setting{}, err
		}
	}
	return a.settingOf(r, name, n)
}

func (a *api) replaceSetting(r *request, p capsulePath, in settingInput) (setting, error) {
	return a.replaceSettingOf(r, p.Capsule, 0, in)
}

func (a *api) replaceOwnSetting(r *request, p ownSettingPath, in settingInput) (setting, error) {
	return a.replaceSettingOf(r, p.Capsule, core.StreamNumber(p.Stream), in)
}

func (a *api) replaceSettingOf(r *request, name string, n core.StreamNumber, in settingInput) (setting, error) {
	a.change.Lock()
	defer a.change.Unlock()
	now, err := a.settingOf(r, name, n)
	if err != nil {
		return setting{}, err
	}
	if err := r.unchanged(now); err != nil {
		return setting{}, err
	}
	if err := a.svc.SetOptions(r.ctx(), r.who, name, n, filled(in.Options), false); err != nil {
		return setting{}, err
	}
	if err := a.svc.SetActive(r.ctx(), r.who, name, n, in.Active); err != nil {
		return setting{}, err
	}
	return a.settingOf(r, name, n)
}

type processPath struct {
	Capsules []string `query:"capsules" required:"true" description:"Which run, with commas between them: those, and no others."`
	Options  string   `query:"options" description:"JSON: options by capsule, {\"detector_face_pigo\":{\"threshold\":0.5}}."`
}

// processImage runs capsules on a picture, which is the body as it is.
func (a *api) processImage(r *request, p processPath) (page[detection], error) {
	r.limitTime()
	picture, err := httpx.ReadAll(r.Request, r.opt.MaxPicture)
	if r.bodyRead(err) != nil {
		return page[detection]{}, err
	}
	options := map[string]map[string]any{}
	if p.Options != "" {
		if _, err := httpx.ParseJSON([]byte(p.Options)); err != nil {
			return page[detection]{}, err
		}
		if err := json.Unmarshal([]byte(p.Options), &options); err != nil {
			return page[detection]{}, &httpx.FormatError{Field: "options", Reason: "is not an object of objects by the names of capsules"}
		}
	}
	nodes, err := a.svc.ProcessImage(r.ctx(), r.who, picture, p.Capsules, options)
	return page[detection]{Items: toDetections(nodes)}, err
}
