package gstreamer

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// TestHTTP plays what servers give: a file, with and without a password, HLS, MJPEG, and nothing.
func TestHTTP(t *testing.T) {
	t.Parallel()
	mp4 := build(t, "a.mp4", ballH264+" ! mp4mux faststart=true", 45, 320, 240)
	ts := build(t, "a.ts", ballH264+" ! mpegtsmux", 45, 320, 240)
	jpeg, err := os.ReadFile(build(t, "a.jpg", "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=160,height=120 ! jpegenc"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/a.mp4", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, mp4) })
	mux.HandleFunc("/locked.mp4", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "geheim" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.ServeFile(w, r, mp4)
	})
	mux.HandleFunc("/list.m3u8", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		fmt.Fprint(w, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.5,\n/part.ts\n#EXT-X-ENDLIST\n")
	})
	mux.HandleFunc("/part.ts", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, ts) })
	mux.HandleFunc("/mjpeg", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		for range 75 {
			fmt.Fprintf(w, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(jpeg))
			w.Write(append(bytes.Clone(jpeg), "\r\n"...))
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(33 * time.Millisecond):
			}
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")

	tests := []struct {
		name, url string
		frames    int // at least, when live
		live      bool
		kind      core.Kind
	}{
		{name: "file", url: "http://" + host + "/a.mp4", frames: 45},
		{name: "with password", url: "http://me:geheim@" + host + "/locked.mp4", frames: 45},
		{name: "wrong password", url: "http://me:falschgeheim@" + host + "/locked.mp4", kind: core.SourceOpen},
		{name: "HLS", url: "http://" + host + "/list.m3u8", frames: 45},
		{name: "MJPEG", url: "http://" + host + "/mjpeg", frames: 30, live: true},
		{name: "not found", url: "http://" + host + "/no.mp4?token=geheim", kind: core.SourceOpen},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			m := newMedia(t)
			if c.kind != 0 {
				_, err := m.Open(t.Context(), pipeline.Source{URL: c.url})
				if core.KindOf(err) != c.kind || strings.Contains(err.Error(), "geheim") {
					t.Errorf("%s: %v", core.KindOf(err), err)
				}
				t.Log(err)
				return
			}
			st := open(t, m, pipeline.Source{URL: c.url})
			last := core.PTS(-1)
			frames, err := drain(t, st, func(f core.Frame, _ pipeline.Picture) {
				if f.PTS <= last {
					t.Errorf("PTS %v after %v", f.PTS, last)
				}
				last = f.PTS
			})
			i := st.Info()
			t.Logf("%d frames, %+v, %+v, last PTS %v (%v)", len(frames), i, st.Stats(), time.Duration(last), err)
			if c.live && (time.Duration(last) < time.Second || time.Duration(last) > 4*time.Second) {
				t.Errorf("75 frames at 30 fps end at %v", time.Duration(last))
			}
			if c.live {
				if core.KindOf(err) != core.SourceBroken {
					t.Errorf("a camera that goes ends with %v", err)
				}
				err = nil
			}
			if i.Live != c.live || err != nil || len(frames) < c.frames || !c.live && len(frames) != c.frames {
				t.Errorf("%d frames, %+v (%v)", len(frames), i, err)
			}
		})
	}
}
