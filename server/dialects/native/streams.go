package native

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

type streamList struct {
	pages
	Premises int64 `query:"premises" minimum:"1" description:"Only those of these premises."`
}

func (a *api) listStreams(r *request, p streamList) (page[stream], error) {
	list, err := a.svc.Streams(r.ctx(), r.who, core.PremisesID(p.Premises))
	if err != nil {
		return page[stream]{}, err
	}
	return cut(list, p.pages, func(s core.StreamConfig) int64 { return int64(s.Number) }, toStream)
}

// ctx is that of the request.
func (r *request) ctx() context.Context { return r.Request.Context() }

func (a *api) createStream(r *request, _ none, in streamInput) (stream, error) {
	cfg, err := a.svc.SaveStream(r.ctx(), r.who, fromStream(0, in))
	if err != nil {
		return stream{}, err
	}
	if in.Analyze {
		if err := a.svc.Analyze(r.ctx(), r.who, cfg.Number, true); err != nil {
			// Who asked for a stream that runs gets that or none.
			return stream{}, errors.Join(err, a.svc.DeleteStream(context.WithoutCancel(r.ctx()), r.who, cfg.Number))
		}
		cfg.Analyze = true
	}
	return toStream(cfg), nil
}

func (a *api) stream(r *request, p streamPath) (stream, error) {
	s, err := a.svc.Stream(r.ctx(), r.who, core.StreamNumber(p.Stream))
	return toStream(s), err
}

func (a *api) changeStream(r *request, p streamPath, in patch[streamInput]) (stream, error) {
	a.change.Lock()
	defer a.change.Unlock()
	old, err := a.svc.Stream(r.ctx(), r.who, core.StreamNumber(p.Stream))
	if err != nil {
		return stream{}, err
	}
	if err := r.unchanged(toStream(old)); err != nil {
		return stream{}, err
	}
	next, err := in.of(toStreamInput(old))
	if err != nil {
		return stream{}, err
	}
	cfg := fromStream(old.Number, next)
	cfg.Said = old.Said
	analyze := cfg.Analyze
	if cfg, err = a.svc.SaveStream(r.ctx(), r.who, cfg); err != nil {
		return stream{}, err
	}
	if analyze != old.Analyze {
		if err := a.svc.Analyze(r.ctx(), r.who, cfg.Number, analyze); err != nil {
			return stream{}, err
		}
	}
	cfg.Analyze = analyze
	return toStream(cfg), nil
}

func (a *api) deleteStream(r *request, p streamPath) (none, error) {
	n := core.StreamNumber(p.Stream)
	return none{}, a.remove(r, func() (tagged, error) {
		s, err := a.svc.Stream(r.ctx(), r.who, n)
		return toStream(s), err
	}, func() error { return a.svc.DeleteStream(r.ctx(), r.who, n) })
}

// remove deletes something, when If-Match says so only as it was seen.
func (a *api) remove(r *request, now func() (tagged, error), gone func() error) error {
	if r.GetHeader("If-Match") == "" {
		return gone()
	}
	a.change.Lock()
	defer a.change.Unlock()
	old, err := now()
	if err == nil {
		err = r.unchanged(old)
	}
	if err != nil {
		return err
	}
	return gone()
}

func (a *api) listStates(r *request, p pages) (page[streamState], error) {
	list, err := a.svc.States(r.ctx(), r.who)
	if err != nil {
		return page[streamState]{}, err
	}
	return cut(list, p, func(s service.StreamState) int64 { return int64(s.Number) }, toState)
}

func (a *api) streamState(r *request, p streamPath) (streamState, error) {
	list, err := a.svc.States(r.ctx(), r.who)
	if err != nil {
		return streamState{}, err
	}
	i := slices.IndexFunc(list, func(s service.StreamState) bool { return s.Number == core.StreamNumber(p.Stream) })
	if i < 0 {
		return streamState{}, core.Faultf(core.NotFound, "", "stream", "there is no stream %d", p.Stream)
	}
	return toState(list[i]), nil
}

func (a *api) streamURL(r *request, p streamPath) (streamURL, error) {
	u, err := a.svc.StreamURL(r.ctx(), r.who, core.StreamNumber(p.Stream), r.Request.Host)
	return streamURL{u}, err
}

type pictureOf struct {
	streamPath
	boxes
}

// picture gives the next picture of a stream.
func (a *api) picture(r *request, p pictureOf) (raw, error) {
	jpeg, err := a.svc.Shot(r.ctx(), r.who, core.StreamNumber(p.Stream))
	if err != nil {
		return raw{}, err
	}
	return raw{}, r.jpeg(jpeg, p.Boxes)
}

// jpeg answers with a picture, with what was found on it when asked for.
func (r *request) jpeg(data []byte, draw bool) error {
	if draw {
		var err error
		if data, err = service.DrawBoxes(data); err != nil {
			return err
		}
	}
	httpx.WriteBytes(r.Context, http.StatusOK, "image/jpeg", data)
	return nil
}

func (a *api) listPremises(r *request, p pages) (page[premises], error) {
	list, err := a.svc.Premises(r.ctx(), r.who)
	if err != nil {
		return page[premises]{}, err
	}
	return cut(list, p, func(p core.Premises) int64 { return int64(p.ID) }, toPremises)
}

func (a *api) createPremises(r *request, _ none, in premisesInput) (premises, error) {
	p, err := a.svc.SavePremises(r.ctx(), r.who, core.Premises{Name: in.Name})
	return toPremises(p), err
}

func (a *api) onePremises(r *request, p premisesPath) (premises, error) {
	one, err := a.svc.OnePremises(r.ctx(), r.who, core.PremisesID(p.Premises))
	return toPremises(one), err
}

func (a *api) changePremises(r *request, p premisesPath, in patch[premisesInput]) (premises, error) {
	a.change.Lock()
	defer a.change.Unlock()
	old, err := a.svc.OnePremises(r.ctx(), r.who, core.PremisesID(p.Premises))
	if err != nil {
		return premises{}, err
	}
	if err := r.unchanged(toPremises(old)); err != nil {
		return premises{}, err
	}
	next, err := in.of(premisesInput{Name: old.Name})
	if err != nil {
		return premises{}, err
	}
	one, err := a.svc.SavePremises(r.ctx(), r.who, core.Premises{ID: old.ID, Name: next.Name})
	return toPremises(one), err
}

func (a *api) deletePremises(r *request, p premisesPath) (none, error) {
	id := core.PremisesID(p.Premises)
	return none{}, a.remove(r, func() (tagged, error) {
		one, err := a.svc.OnePremises(r.ctx(), r.who, id)
		return toPremises(one), err
	}, func() error { return a.svc.DeletePremises(r.ctx(), r.who, id) })
}
