// Package push is media for frames that a program makes itself: it hands in pictures or planes
// of pixels, and sessions see them as those of any other source. It is pure Go and needs no
// GStreamer.
//
//	media := push.New(nil)
//	feed, err := media.Feed("door", push.Config{})
//	…
//	engine := pipeline.New(media, log)
//	go func() {
//		defer feed.End()
//		for img := range pictures {
//			if err := feed.Push(ctx, push.Frame{Image: img}); err != nil {
//				return
//			}
//		}
//	}()
//	session, err := engine.Open(ctx, pipeline.Job{Source: feed.Source()})
package push

import (
	"context"
	"net/url"
	"strings"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// Scheme is that of the URLs of feeds: push://NAME.
const Scheme = "push"

// Media opens the feeds of a program, and by another Media all other sources. Its methods may be
// called from several goroutines.
type Media struct {
	others pipeline.Media

	mu    sync.Mutex
	feeds map[string]*Feed
}

var _ pipeline.Media = (*Media)(nil)

// New gives media without feeds. others opens what is not a push:// URL; nil: that is refused.
func New(others pipeline.Media) *Media { return &Media{others: others, feeds: map[string]*Feed{}} }

// Feed makes a feed; the caller ends or closes it. A name that is in use is a fault of kind
// Exists; it is free again when the feed is closed.
func (m *Media) Feed(name string, c Config) (*Feed, error) {
	c, err := c.complete(name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.feeds[name] != nil {
		return nil, core.Faultf(core.Exists, "push", name, "there is a feed of this name")
	}
	f := newFeed(name, c, func() { m.forget(name) })
	m.feeds[name] = f
	return f, nil
}

func (m *Media) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.feeds, name)
}

// Open opens the feed of a push:// URL when its first frame is there; a feed plays once. Start,
// Duration, Realtime and KeyframesOnly are for other sources.
func (m *Media) Open(ctx context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	name, ours := strings.CutPrefix(s.URL, Scheme+"://")
	if !ours {
		if m.others != nil {
			return m.others.Open(ctx, s)
		}
		f := core.Faultf(core.SourceOpen, "push", "", "the source is not a feed of this program")
		f.Hint = "open Feed.Source(), or give New the media that opens other sources"
		return nil, f
	}
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	m.mu.Lock()
	f := m.feeds[name]
	m.mu.Unlock()
	if f == nil {
		return nil, core.Faultf(core.SourceOpen, "push", name, "there is no feed of this name")
	}
	return f.open(ctx, s)
}
