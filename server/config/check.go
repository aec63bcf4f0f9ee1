package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// check says what cannot be although every value by itself can.
func (l *Loaded) check() Problems {
	c := checker{l: l}
	c.addresses()
	c.tls()
	c.numbers()
	c.targets()
	if len(l.Capsules.Only) > 0 && len(l.Capsules.Without) > 0 {
		c.say("capsules.without", "", "it and capsules.only exclude each other")
	}
	if l.Data == "" {
		c.say("data", "", "want a folder")
	}
	for _, p := range l.Proxies {
		if _, err := ParsePrefix(p); err != nil {
			c.say("proxies", "", "%q is neither an address nor a network like 10.0.0.0/8", p)
		}
	}
	return c.problems
}

type checker struct {
	l        *Loaded
	problems Problems
}

func (c *checker) say(key, hint, format string, args ...any) {
	o := c.l.Origins[key]
	c.problems = append(c.problems, Problem{Source: o.Source, Line: o.Line, Col: o.Col, Key: key, Text: fmt.Sprintf(format, args...), Hint: hint})
}

// ParsePrefix reads a network, or an address as the network of it alone.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// Loopback says whether only this machine reaches an address of HOST:PORT.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

func (c *checker) addresses() {
	if len(c.l.Listen) == 0 {
		c.say("listen", "", "want one address at least")
	}
	for _, a := range c.l.Listen {
		if !c.address("listen", a) || c.l.NoAuth != OnLoopback || Loopback(a) {
			continue
		}
		c.say("no_auth", "listen on 127.0.0.1, or say it twice: --no-auth --no-auth, or no_auth: everywhere",
			"with listen %s everybody who reaches this machine would be an administrator", a)
	}
	for key, a := range map[string]string{"tls.redirect": c.l.TLS.Redirect, "rtsp.listen": c.l.RTSP.Listen} {
		if a != "" && (key != "rtsp.listen" || a != "auto" && a != "off") {
			c.address(key, a)
		}
	}
	if a := c.l.RTSP.Advertise; strings.Contains(a, ":") && net.ParseIP(a) == nil {
		c.address("rtsp.advertise", a)
	} else if strings.ContainsAny(a, "/@ ") {
		c.say("rtsp.advertise", "", "%q is neither HOST nor HOST:PORT", a)
	}
}

// address complains of what is not HOST:PORT.
func (c *checker) address(key, a string) bool {
	_, port, err := net.SplitHostPort(a)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		c.say(key, "", "%q is not HOST:PORT", a)
	}
	return err == nil
}

func (c *checker) tls() {
	t := c.l.TLS
	switch {
	case t.Cert != "" && t.Key == "":
		c.say("tls.cert", "", "tls.key is needed too")
	case t.Key != "" && t.Cert == "":
		c.say("tls.key", "", "tls.cert is needed too")
	case t.Cert != "" && len(t.ACME.Hosts) > 0:
		c.say("tls.acme.hosts", "", "it and tls.cert exclude each other")
	case t.Redirect != "" && !t.On():
		c.say("tls.redirect", "set tls.cert and tls.key, or tls.acme.hosts", "there is no HTTPS to redirect to")
	}
	for _, h := range t.ACME.Hosts {
		if net.ParseIP(h) != nil || !strings.Contains(h, ".") || strings.ContainsAny(h, "*/: ") {
			c.say("tls.acme.hosts", "", "%q is not the full name of a host", h)
		}
	}
	c.url("tls.acme.directory", t.ACME.Directory, "https", "http")
}

// numbers says what is wrong between numbers; each by itself was held against its limits.
func (c *checker) numbers() {
	l := c.l.Limits
	if l.Rate > 0 && l.Rate < leastRate {
		c.say("limits.requests_per_second", "", "%v is not within %v..1000000, nor 0 for no limit", l.Rate, leastRate)
	}
	if l.Rate > 0 && l.Burst < 1 {
		c.say("limits.burst", "or set limits.requests_per_second: 0, for no limit", "%d lets no request in; want 1 at least", l.Burst)
	}
}

// leastRate is one request in ten seconds; below it nobody could do anything.
const leastRate = 0.1

func (c *checker) targets() {
	e := c.l.Events
	for i, w := range e.Webhooks {
		if w.URL == "" {
			c.say("events.webhooks", "", "entry %d has no url", i)
			continue
		}
		c.url("events.webhooks", string(w.URL), "http", "https")
	}
	c.url("events.mqtt.url", string(e.MQTT.URL), "mqtt", "mqtts", "tcp", "ssl", "tls")
	c.url("events.nats.url", string(e.NATS.URL), "nats", "tls")
	c.url("tracing.endpoint", string(c.l.Tracing.Endpoint), "http", "https")
	c.url("database", string(c.l.Database), "sqlite", "postgres", "postgresql")
}

// url complains of a URL of another scheme, or without a host. Empty ones are fine.
func (c *checker) url(key, text string, schemes ...string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err == nil {
		for _, s := range schemes {
			// PostgreSQL may be at a socket: postgres:///NAME?host=/run/postgresql
			if u.Scheme == s && (u.Host != "" || key == "database") {
				return
			}
		}
	}
	c.say(key, "", "want a URL that begins with %s://", strings.Join(schemes, ":// or "))
}
