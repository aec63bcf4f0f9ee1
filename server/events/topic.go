package events

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// topic is a parsed template: text and, in between, what {stream}, {kind} and {server} stand for.
type topic struct {
	parts []string // text at even places, names at odd ones
}

const maxTopic = 512

// parseTopic reads a template of an MQTT topic or a NATS subject; empty: the default one.
func parseTopic(kind, text string) (topic, error) {
	separator, forbidden := "/", "+#"
	if kind == NATS {
		separator, forbidden = ".", "*>"
	}
	if text == "" {
		text = map[string]string{MQTT: DefaultTopic, NATS: DefaultSubject}[kind]
	}
	switch {
	case len(text) > maxTopic || !utf8.ValidString(text):
		return topic{}, invalid("the topic has %d bytes; want at most %d of UTF-8", len(text), maxTopic)
	case strings.HasPrefix(text, "$"):
		return topic{}, invalid("the topic %.40q begins with $, which is for the server's own", text)
	case strings.ContainsAny(text, forbidden) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return topic{}, invalid("the topic %.40q has a wildcard, a space or a control character", text)
	}
	for _, level := range strings.Split(text, separator) {
		if level == "" {
			return topic{}, invalid("the topic %.40q has an empty level", text)
		}
	}
	t := topic{}
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return topic{}, invalid("the topic %.40q has a } without a {", text)
		}
		t.parts = append(t.parts, before)
		if !found {
			return t, nil
		}
		name, after, found := strings.Cut(after, "}")
		if !found || name != "stream" && name != "kind" && name != "server" {
			return topic{}, invalid("the topic %.40q has {%.20s; want {stream}, {kind} or {server}", text, name)
		}
		t.parts = append(t.parts, name)
		rest = after
	}
}

// of fills the template in. What is filled in has neither wildcards nor separators but the dot of
// the kind, which makes a level of its own in NATS.
func (t topic) of(server string, m *message) string {
	var b strings.Builder
	for i, part := range t.parts {
		switch {
		case i%2 == 0:
			b.WriteString(part)
		case part == "stream":
			b.WriteString(strconv.FormatInt(int64(m.stream), 10))
		case part == "kind":
			b.WriteString(m.kind)
		default:
			b.WriteString(server)
		}
	}
	return b.String()
}
