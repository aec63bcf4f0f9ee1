package brainframe

import (
	"net/http"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

func (r routes) streams() {
	r.get("/version", func(*request) (any, error) { return r.opt.Version, nil })
	r.get("/streams", r.listStreams)
	r.post("/streams", r.saveStream)
	r.get("/streams/status", r.statusNow)
	r.handle(http.MethodGet, "/streams/statuses", r.statusStream)
	r.handle(http.MethodHead, "/streams/statuses", func(*request) (any, error) { // else it were the stream "statuses"
		return nil, &apiError{"UnknownError", http.StatusMethodNotAllowed, "what has no end is not asked for by HEAD"}
	})
	r.get("/streams/:id", r.stream)
	r.delete("/streams/:id", r.deleteStream)
	r.get("/streams/:id/url", r.streamURL)
	r.get("/streams/:id/runtime_options", r.runtimeOptions)
	r.put("/streams/:id/runtime_options", r.setRuntimeOptions)
	r.get("/streams/:id/analyze", r.analyzing)
	r.put("/streams/:id/analyze", r.analyze)
}

func (a *api) listStreams(r *request) (any, error) {
	q, err := r.query()
	if err != nil {
		return nil, err
	}
	p := number[core.PremisesID](q, "premises_id", &err)
	if err != nil {
		return nil, err
	}
	list, err := a.svc.Streams(r.Request.Context(), r.who, p)
	return mapped(list, toStream), err
}

// saveStream creates or changes a stream; whether it is analyzed is no part of it and stays.
func (a *api) saveStream(r *request) (any, error) {
	ctx := r.Request.Context()
	s, err := body(r, parseStream)
	if err != nil {
		return nil, err
	}
	if s.Number != 0 {
		old, err := a.svc.Stream(ctx, r.who, s.Number)
		if err != nil {
			return nil, err
		}
		s.Analyze = old.Analyze
	}
	s, err = a.svc.SaveStream(ctx, r.who, s)
	return toStream(s), err
}

func (a *api) configOf(r *request) (core.StreamConfig, error) {
	n, err := pathID[core.StreamNumber](r, "stream")
	if err != nil {
		return core.StreamConfig{}, err
	}
	return a.svc.Stream(r.Request.Context(), r.who, n)
}

func (a *api) stream(r *request) (any, error) {
	s, err := a.configOf(r)
	return toStream(s), err
}

func (a *api) deleteStream(r *request) (any, error) {
	n, err := pathID[core.StreamNumber](r, "stream")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeleteStream(r.Request.Context(), r.who, n)
}

// streamURL gives a string, and an object to newer desktop clients, which ask for a way of routing.
func (a *api) streamURL(r *request) (any, error) {
	q, err := r.query()
	if err != nil {
		return nil, err
	}
	n, err := pathID[core.StreamNumber](r, "stream")
	if err != nil {
		return nil, err
	}
	u, err := a.svc.StreamURL(r.Request.Context(), r.who, n, r.Request.Host)
	if q.Has("routing_type") {
		return streamURL{u, u}, err
	}
	return u, err
}

func (a *api) runtimeOptions(r *request) (any, error) {
	s, err := a.configOf(r)
	return toRuntime(s), err
}

func (a *api) setRuntimeOptions(r *request) (any, error) {
	options, err := body(r, parseRuntime)
	if err != nil {
		return nil, err
	}
	s, err := a.configOf(r)
	if err != nil {
		return nil, err
	}
	s.KeyframesOnly, s.Said.Keyframes = options.keyframesOnly, options.said
	_, err = a.svc.SaveStream(r.Request.Context(), r.who, s)
	return nothing{}, err
}

func (a *api) analyzing(r *request) (any, error) {
	s, err := a.configOf(r)
	return s.Analyze, err
}

// analyze starts or stops, and answers with how it is then.
func (a *api) analyze(r *request) (any, error) {
	on, err := body(r, httpx.Value.Bool)
	if err != nil {
		return nil, err
	}
	n, err := pathID[core.StreamNumber](r, "stream")
	if err != nil {
		return nil, err
	}
	err = a.svc.Analyze(r.Request.Context(), r.who, n, on)
	if core.KindOf(err) == core.Exhausted {
		err = refuse("AnalysisLimitExceededError", err.Error())
	}
	return on, err
}
