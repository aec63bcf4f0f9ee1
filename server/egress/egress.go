// Package egress decides which addresses the server may call on behalf of those who give it URLs.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/core"
)

const (
	dialTimeout = 5 * time.Second
	maxHeader   = 64 << 10 // bytes of an answer's headers
	idleFor     = time.Minute
)

// Guard refuses addresses as they are dialled, after the name was resolved: so that a name which
// changes what it stands for between a check and the call gains nothing. The zero Guard refuses
// what is on this machine or its link; private networks are allowed, since that is where cameras
// and message brokers are.
type Guard struct {
	AllowLocal bool // loopback and link-local addresses too
}

// never are ranges that nobody has a use for, whatever is allowed: "this network", broadcast and
// reserved, and the addresses at which clouds hand out a machine's credentials.
var never = prefixes("0.0.0.0/8", "240.0.0.0/4", "169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "fd00:ec2::/32", "fec0::/10")

// local are loopback and link-local ranges.
var local = prefixes("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10")

// carriers are ranges of IPv6 that carry an IPv4 address from that byte on.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// Check says whether an address may be called: Denied on "address" if not.
func (g Guard) Check(a netip.Addr) error {
	a = a.WithZone("").Unmap()
	if !a.IsValid() {
		return core.Faultf(core.Denied, "call", "address", "it is none")
	}
	for _, each := range append(carried(a), a) {
		switch {
		case each.IsUnspecified(), each.IsMulticast(), within(each, never):
			return core.Faultf(core.Denied, "call", "address", "%s is never called", a)
		case within(each, local) && !g.AllowLocal:
			f := core.Faultf(core.Denied, "call", "address", "%s is on this machine or its link", a)
			f.Hint = "events.allow_local allows it"
			return f
		}
	}
	return nil
}

// carried gives the IPv4 address in one of IPv6, if there is one. Loopback and unspecified ones,
// which look like IPv4-compatible ones, carry none.
func carried(a netip.Addr) []netip.Addr {
	if !a.Is6() || a.IsLoopback() || a.IsUnspecified() {
		return nil
	}
	b := a.As16()
	for _, c := range carriers {
		if c.prefix.Contains(a) {
			return []netip.Addr{netip.AddrFrom4([4]byte(b[c.at : c.at+4]))}
		}
	}
	return nil
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// CheckHost checks what stands for a host in a URL, as far as that can be said before it is
// called: addresses, and names of this machine. Names are resolved when they are dialled.
func (g Guard) CheckHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		return g.Check(a)
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return g.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return nil
}

// Control is for net.Dialer: it is called with the address that is about to be connected to.
func (g Guard) Control(network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return core.Faultf(core.Denied, "call", "address", "a %s connection is not one over TCP", network)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return core.Faultf(core.Denied, "call", "address", "%q is none", address)
	}
	return g.Check(to.Addr())
}

// Dialer gives a dialer that refuses what Check does.
func (g Guard) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: g.Control}
}

// Client gives an HTTP client that calls no address which Check refuses, follows no redirect (the
// answer is the redirect) and goes through no proxy, which would call in its place. roots, if not
// nil, stand in for the certificates of the system; at most so many connections are kept for each
// host. The caller closes it with CloseIdleConnections.
func (g Guard) Client(roots *x509.CertPool, connections int) *http.Client {
	dialer := g.Dialer()
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: idleFor,
			MaxResponseHeaderBytes: maxHeader, MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
