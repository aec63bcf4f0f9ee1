// Package gstreamer opens sources with GStreamer and has their decoders write straight into
// shared memory (pipeline.Media), converts pictures by libyuv, encodes video and makes the demo
// clip. It is the only package with C in it.
//
// One pipeline plays one source: uridecodebin, videoconvert and videoflip (both pass-through
// unless the picture needs them), appsink. The appsink offers memory of the stream's arena
// upstream, so the pixels of most sources are written once, by the decoder, where capsules read
// them. Go decides and counts; it never touches a pixel of a frame.
package gstreamer
