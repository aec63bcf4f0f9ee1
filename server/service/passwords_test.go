package service

import (
	"testing"

	"github.com/capstan-video/capstan/core"
)

func TestKeepPassword(t *testing.T) {
	t.Parallel()
	const old = "rtsp://anna:p%40ss@host:554/1"
	for name, tt := range map[string]struct {
		given, want string
		kind        core.Kind
	}{
		"as it was shown":    {given: "rtsp://anna:xxxxx@host:554/1", want: old},
		"another path":       {given: "rtsp://anna:xxxxx@host:554/2?x=1", want: "rtsp://anna:p%40ss@host:554/2?x=1"},
		"another password":   {given: "rtsp://anna:new@host:554/1", want: "rtsp://anna:new@host:554/1"},
		"no password":        {given: "rtsp://anna@host:554/1", want: "rtsp://anna@host:554/1"},
		"nobody":             {given: "rtsp://host:554/1", want: "rtsp://host:554/1"},
		"another host":       {given: "rtsp://anna:xxxxx@elsewhere:554/1", kind: core.Invalid},
		"another user":       {given: "rtsp://berta:xxxxx@host:554/1", kind: core.Invalid},
		"not one URL at all": {given: "rtsp://%zz", want: "rtsp://%zz"},
	} {
		got, err := keepPassword(tt.given, old)
		if got != tt.want || (tt.kind != 0) != (err != nil) || err != nil && core.KindOf(err) != tt.kind {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := keepPassword("rtsp://anna:xxxxx@host/1", ""); core.KindOf(err) != core.Invalid {
		t.Errorf("a new stream: %v", err)
	}
}
