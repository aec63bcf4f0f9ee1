package egress_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/egress"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	const (
		always = iota
		whenAllowed
		never
	)
	for address, want := range map[string]int{
		"93.184.216.34": always, "10.1.2.3": always, "192.168.0.9": always, "172.16.0.1": always, "100.64.0.1": always,
		"2606:2800:220:1::1": always, "fd12:3456::1": always, "::ffff:10.0.0.1": always, "64:ff9b::a00:1": always, "128.0.0.1": always,
		"126.255.255.255": always, "169.253.255.255": always, "170.0.0.0": always, "239.255.255.255": never, "223.255.255.255": always,
		"127.0.0.1": whenAllowed, "127.255.255.254": whenAllowed, "::1": whenAllowed, "169.254.1.1": whenAllowed, "fe80::1": whenAllowed,
		"fe80::1%eth0": whenAllowed, "febf::1": whenAllowed, "::ffff:127.0.0.1": whenAllowed, "::ffff:169.254.0.1": whenAllowed,
		"64:ff9b::7f00:1": whenAllowed, "64:ff9b:1::7f00:1": whenAllowed, "2002:7f00:1::": whenAllowed, "::127.0.0.1": whenAllowed, "::ffff:0:127.0.0.1": whenAllowed,
		"0.0.0.0": never, "0.1.2.3": never, "::": never, "255.255.255.255": never, "240.0.0.1": never, "224.0.0.1": never, "ff02::1": never,
		"169.254.169.254": never, "::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never, "2002:a9fe:a9fe::1": never, "169.254.170.2": never,
		"100.100.100.200": never, "fd00:ec2::254": never, "::ffff:0.0.0.0": never, "fec0::1": never,
	} {
		a := netip.MustParseAddr(address)
		for _, allowed := range []bool{false, true} {
			err := egress.Guard{AllowLocal: allowed}.Check(a)
			if ok := want == always || want == whenAllowed && allowed; (err == nil) != ok {
				t.Errorf("%s, local allowed %v: %v", address, allowed, err)
			}
			if err != nil && core.KindOf(err) != core.Denied {
				t.Errorf("%s: %v is not Denied", address, err)
			}
		}
	}
	if (egress.Guard{AllowLocal: true}).Check(netip.Addr{}) == nil {
		t.Error("no address at all may be called")
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for host, ok := range map[string]bool{
		"example.com": true, "10.0.0.1": true, "localhost.example.com": true, "": true,
		"localhost": false, "LOCALHOST.": false, "a.localhost": false, "127.0.0.1": false, "::1": false, "fe80::1%lo": false,
	} {
		if err := (egress.Guard{}).CheckHost(host); (err == nil) != ok {
			t.Errorf("%q: %v", host, err)
		}
		if err := (egress.Guard{AllowLocal: true}).CheckHost(host); err != nil {
			t.Errorf("%q when local is allowed: %v", host, err)
		}
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	g := egress.Guard{AllowLocal: true}
	for address, ok := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "169.254.169.254:80": false, "127.0.0.1": false, "host:80": false} {
		if err := g.Control("tcp4", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	if g.Control("unix", "/run/docker.sock", nil) == nil || g.Control("udp4", "10.0.0.1:53", nil) == nil {
		t.Error("what is not TCP may be called")
	}
}

// TestClient: names are checked by what they stand for, redirects are not followed, and a proxy of
// the environment is not used.
func TestClient(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	followed := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/secret" {
			followed = true
		}
		http.Redirect(w, r, "/secret", http.StatusFound)
	}))
	defer server.Close()
	// localhost is a name that stands for this machine.
	url := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	refuses := egress.Guard{}.Client(nil, 1)
	for _, u := range []string{url, server.URL, "http://169.254.169.254/latest/meta-data", "http://0.0.0.0:1", "http://[::ffff:127.0.0.1]:1", "http://2130706433:1", "http://0x7f.1:1"} {
		answer, err := refuses.Get(u)
		if err == nil {
			answer.Body.Close()
			t.Errorf("%s was called", u)
			continue
		}
		var f *core.Fault
		if strings.Contains(u, "localhost") && (!errors.As(err, &f) || f.Kind != core.Denied) {
			t.Errorf("%s: %v is not Denied", u, err)
		}
	}
	client := egress.Guard{AllowLocal: true}.Client(nil, 1)
	defer client.CloseIdleConnections()
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusFound || followed {
		t.Errorf("status %d, followed %v; want the redirect itself", answer.StatusCode, followed)
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"localhost", "127.0.0.1", "::1", "%", "[::1]", "a.localhost."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		err := egress.Guard{}.CheckHost(host)
		if a, bad := netip.ParseAddr(host); bad == nil && a.IsLoopback() && err == nil {
			t.Errorf("%q may be called", host)
		}
	})
}
