package gstreamer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/go-gst/go-gst/gst"
)

// diagnosis collects what the bus says of one source, to name the cause and not its echoes:
// one failure makes several error messages, and the first is the one nearest to it.
type diagnosis struct {
	name    string // of the source, without secrets
	errors  []*message
	missing []*message
	warning *message // the last one
	frames  bool     // it has given frames
}

func (d *diagnosis) hear(m *message) {
	switch {
	case m.kind == gst.MessageError:
		d.errors = append(d.errors, m)
	case m.kind == gst.MessageWarning:
		d.warning = m
	case m.missing != "" || m.missingWords != "":
		d.missing = append(d.missing, m)
	}
}

func (d *diagnosis) failed() bool { return len(d.errors) > 0 }

// fault names the cause; the source must have failed, or ended without a frame.
func (d *diagnosis) fault() *core.Fault {
	op := "open"
	if d.frames {
		op = "play"
	}
	kind, text, hint := d.cause()
	return &core.Fault{Op: op, Kind: kind, On: d.name, Err: fmt.Errorf("%s", redact(text)), Hint: hint}
}

func (d *diagnosis) cause() (core.Kind, string, string) {
	if !d.frames {
		if d.says("codec-alpha=(boolean)true") {
			return core.SourceFormat, "video with an alpha channel is not played", "encode it without"
		}
		for _, m := range d.missing {
			if m.missing == "" || !strings.HasPrefix(m.missing, "audio/") {
				return core.SourceFormat, "there is no decoder for " + m.missingWords, "install " + packageFor(m.missing)
			}
		}
		if len(d.errors) == 0 {
			return core.SourceFormat, "it has no picture that can be decoded", ""
		}
		if words, caps, sound := d.undecoded(); words != "" {
			return core.SourceFormat, "there is no decoder for " + words, "install " + packageFor(caps)
		} else if sound {
			return core.SourceFormat, "it has no video track", ""
		}
	}
	m := d.errors[0]
	text := useful(m)
	if d.frames {
		return core.SourceBroken, text, ""
	}
	return d.openCause(m, text)
}

var missingDecoder = regexp.MustCompile(`Missing decoder: (.*?) \(([a-z]+/[-+.a-z0-9]+)`)

// undecoded reads what decodebin could not decode: the first that is no sound, else whether
// there was sound. Sound is refused on purpose.
func (d *diagnosis) undecoded() (words, caps string, sound bool) {
	for _, m := range d.errors {
		for _, found := range missingDecoder.FindAllStringSubmatch(m.debug, -1) {
			if !strings.HasPrefix(found[2], "audio/") {
				return found[1], found[2], sound
			}
			sound = true
		}
	}
	return "", "", sound
}

// GStreamer's error domains and codes that are told apart.
const (
	resourceDomain     = "gst-resource-error-quark"
	resourceNoAuth     = 15
	streamDomain       = "gst-stream-error-quark"
	streamTypeNotFound = 4
	streamWrongType    = 5
	internalDataError  = "Internal data stream error."
)

func (d *diagnosis) openCause(m *message, text string) (core.Kind, string, string) {
	switch {
	case m.domain == resourceDomain && m.code == resourceNoAuth, strings.Contains(text, "nauthorized"):
		return core.SourceOpen, text, "check user and password in the URL"
	case m.domain == resourceDomain:
		return core.SourceOpen, text, ""
	case m.text == internalDataError && (m.element == "souphttpsrc" || m.element == "rtspsrc"):
		return core.SourceOpen, "the server does not answer, or not with media", ""
	case m.element == "rtspsrc" && strings.Contains(text, "No supported stream"):
		return core.SourceFormat, "it has no video track", ""
	case m.domain == streamDomain && (m.code == streamTypeNotFound || m.code == streamWrongType), m.element == "typefind":
		return core.SourceFormat, "it is not a video or picture that we know: " + text, ""
	case d.says("not-linked"): // none of its tracks was wanted
		return core.SourceFormat, "it has no video track", ""
	case m.element == "qtdemux" && strings.Contains(text, "no playable streams"):
		return core.SourceFormat, text, "the file may have been cut off, or be written still"
	case m.domain == streamDomain:
		return core.SourceFormat, text, ""
	default:
		return core.SourceOpen, text, ""
	}
}

// says tells whether an error has words in what it says to developers.
func (d *diagnosis) says(words string) bool {
	return slices.ContainsFunc(d.errors, func(m *message) bool { return strings.Contains(m.debug, words) })
}

// useful takes the part of a message that says something: often the debug text's last line.
func useful(m *message) string {
	text := strings.TrimSuffix(m.text, ".")
	line, _, _ := strings.Cut(lastLine(m.debug), ", URL: ")
	switch {
	case line == "" || len(line) > 200 || strings.Contains(text, line):
		return text
	case m.text == internalDataError || strings.HasPrefix(line, text):
		return line
	default:
		return text + ": " + line
	}
}

// lastLine gives the last line of a debug text, the first being where in GStreamer it is from.
func lastLine(debug string) string {
	lines := strings.Split(strings.TrimSpace(debug), "\n")
	if len(lines) < 2 {
		return ""
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// userinfo is all before the last @: a password may have @ and / in it that should be escaped.
var userinfo = regexp.MustCompile(`(://)[^\s"']*@`)
var secretQuery = regexp.MustCompile(`(?i)([?&](?:[a-z_-]*(?:token|pass|passwd|password|pwd|secret|key|auth|sig|signature))=)[^&\s]*`)

// redact takes the secrets out of every URL in a text.
func redact(text string) string {
	return secretQuery.ReplaceAllString(userinfo.ReplaceAllString(text, "${1}…@"), "${1}…")
}

// packageFor names the Debian package that decodes a format.
func packageFor(caps string) string {
	switch caps {
	case "image/jpeg", "image/png", "video/x-vp8", "video/x-vp9":
		return "gstreamer1.0-plugins-good"
	case "image/webp", "video/x-av1", "application/x-hls", "application/dash+xml":
		return "gstreamer1.0-plugins-bad"
	default:
		return "gstreamer1.0-libav"
	}
}
