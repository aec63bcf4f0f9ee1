package config

import (
	"strings"
	"testing"
)

func TestRTSPAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		listen, http, want string
		elsewhere          bool
	}{
		{"auto", "127.0.0.1:8080", "127.0.0.1:8554", true},
		{"auto", "[::]:80", "[::]:8554", true},
		{"auto", ":80", ":8554", true},
		{"off", "127.0.0.1:8080", "", false},
		{"", "127.0.0.1:8080", "", false},
		{"10.0.0.1:554", "127.0.0.1:8080", "10.0.0.1:554", false},
	} {
		if got, elsewhere := (RTSP{Listen: c.listen}).Address(c.http); got != c.want || elsewhere != c.elsewhere {
			t.Errorf("%q beside %s: %s, %t; want %s, %t", c.listen, c.http, got, elsewhere, c.want, c.elsewhere)
		}
	}
}

func TestRTSPIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listen, advertise, says string
	}{
		"auto":            {"auto", "", ""},
		"off":             {"off", "", ""},
		"a place":         {"0.0.0.0:8554", "cam.example.com", ""},
		"a port outside":  {"auto", "cam.example.com:10554", ""},
		"an IPv6 address": {"auto", "2001:db8::1", ""},
		"no place":        {"on", "", "rtsp.listen"},
		"a URL":           {"auto", "rtsp://cam.example.com", "rtsp.advertise"},
		"a path":          {"auto", "cam.example.com/x", "rtsp.advertise"},
		"somebody":        {"auto", "me@cam.example.com", "rtsp.advertise"},
	} {
		l := &Loaded{Config: Default()}
		l.RTSP = RTSP{Listen: c.listen, Advertise: c.advertise}
		if p := l.check(); c.says == "" && len(p) > 0 || c.says != "" && (len(p) != 1 || !strings.Contains(p[0].Key, c.says)) {
			t.Errorf("%s: %v, want %q", name, p, c.says)
		}
	}
}
