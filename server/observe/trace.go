package observe

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/service"
)

// longestDecode bounds what is believed of a camera's clock.
const longestDecode = 10 * time.Second

// Tracer sends the ways of frames to a collector, as OpenTelemetry spans over OTLP/HTTP. Frames wait
// in a bounded queue; when the collector is slow or gone, spans are dropped and not frames.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	share    float64
	closing  sync.Once
	closed   error
}

var _ service.Tracer = (*Tracer)(nil)

// NewTracer gives a tracer that sends to an endpoint, http://HOST:PORT with or without a path, a
// share (0..1) of all frames and every frame with an alert.
func NewTracer(ctx context.Context, endpoint string, share float64, version string, log hclog.Logger) (*Tracer, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, core.Faultf(core.Invalid, "serve", "tracing.endpoint", "it is not a URL like http://127.0.0.1:4318")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	headers := map[string]string{}
	if u.User != nil {
		headers["Authorization"] = "Basic " + basic(u.User)
		u.User = nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithHeaders(headers), otlptracehttp.WithTimeout(5*time.Second))
	if err != nil {
		return nil, core.Faultf(core.Invalid, "serve", "tracing.endpoint", "%w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are lost", "err", err) }))
	about := resource.NewSchemaless(attribute.String("service.name", "capstan"), attribute.String("service.version", version))
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithResource(about))
	return &Tracer{provider: p, tracer: p.Tracer("github.com/capstan-video/capstan/server"), share: share}, nil
}

// Frame implements service.Tracer.
func (t *Tracer) Frame(f service.FrameTrace) {
	chance := rand.Float64() // #nosec G404 -- which frames are sampled, no secret
	if len(f.Saves) == 0 && chance >= t.share {
		return
	}
	end := f.Zones.Began.Add(f.Zones.Took)
	done := f.Named.Began // the result waited for its turn between its last stage and this
	arrived := arrivalOf(f, done)
	began := arrived
	if c := f.Result.Frame.Captured; c.Before(arrived) && arrived.Sub(c) < longestDecode {
		began = c
	}
	ctx, frame := t.tracer.Start(context.Background(), "frame", trace.WithTimestamp(began), trace.WithAttributes(
		attribute.Int64("capstan.stream", int64(f.Stream)), attribute.Int64("capstan.frame", int64(f.Result.Frame.Seq)),
		attribute.Int("capstan.nodes", len(f.Result.Nodes)), attribute.Int("capstan.alerts", len(f.Saves)),
	))
	if began.Before(arrived) {
		t.span(ctx, "decode", service.Span{Began: began, Took: arrived.Sub(began)}, nil)
	}
	t.stages(ctx, f.Result.Times)
	t.span(ctx, "identities", f.Named, nil)
	zones := t.open(ctx, "zones", f.Zones)
	for _, s := range f.Saves {
		t.span(zones, "alert "+s.What, s.Span, s.Err, attribute.Int64("capstan.alarm", int64(s.Alarm)), attribute.Int64("capstan.alert", int64(s.Alert)))
	}
	trace.SpanFromContext(zones).End(trace.WithTimestamp(end))
	frame.End(trace.WithTimestamp(end))
}

// arrivalOf gives when a frame came out of the decoder: before its first call, by its latency.
func arrivalOf(f service.FrameTrace, done time.Time) time.Time {
	if times := f.Result.Times; len(times) > 0 {
		first := times[0].Began
		for _, c := range times {
			if c.Began.Before(first) {
				first = c.Began
			}
		}
		return first
	}
	return done.Add(-f.Result.Latency)
}

// stages makes a span of every stage, with the calls of its capsules below.
func (t *Tracer) stages(ctx context.Context, times []pipeline.CallTime) {
	for i := 0; i < len(times); {
		from, n := times[i].Began, i
		var end time.Time
		for ; n < len(times) && times[n].Stage == times[i].Stage; n++ {
			if e := endOf(times[n]); e.After(end) {
				end = e
			}
			if times[n].Began.Before(from) {
				from = times[n].Began
			}
		}
		stage := t.open(ctx, "stage", service.Span{Began: from}, attribute.Int("capstan.stage", times[i].Stage))
		for _, c := range times[i:n] {
			t.call(stage, c)
		}
		trace.SpanFromContext(stage).End(trace.WithTimestamp(end))
		i = n
	}
}

func endOf(c pipeline.CallTime) time.Time { return c.Began.Add(c.Queue + c.Took) }

func (t *Tracer) call(ctx context.Context, c pipeline.CallTime) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	t.span(ctx, c.Capsule, service.Span{Began: c.Began, Took: c.Queue + c.Took}, c.Err,
		attribute.Int("capstan.nodes", c.Nodes), attribute.Float64("capstan.queue_ms", ms(c.Queue)),
		attribute.Float64("capstan.convert_ms", ms(c.Convert)), attribute.Float64("capstan.compute_ms", ms(c.Compute)))
}

// open begins a span, and gives the context to put others below it.
func (t *Tracer) open(ctx context.Context, name string, s service.Span, about ...attribute.KeyValue) context.Context {
	ctx, _ = t.tracer.Start(ctx, name, trace.WithTimestamp(s.Began), trace.WithAttributes(about...))
	return ctx
}

// span makes a whole span.
func (t *Tracer) span(ctx context.Context, name string, s service.Span, err error, about ...attribute.KeyValue) {
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(s.Began), trace.WithAttributes(about...))
	if err != nil {
		span.SetStatus(codes.Error, core.KindOf(err).String()) // not the text: it may hold addresses
	}
	span.End(trace.WithTimestamp(s.Began.Add(s.Took)))
}

// Close sends what is left. It is safe to call twice.
func (t *Tracer) Close(ctx context.Context) error {
	t.closing.Do(func() {
		err := t.provider.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			err = nil // a collector that is gone is not worth a failure
		}
		t.closed = err
	})
	return t.closed
}
