package manifest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

const needy = "name: x\nversion: 1\noutput: {size: all}\noptions: {path: {type: str, default: \"\"}, n: {type: int, default: 1}}\nneeds:"

func TestNeeds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want core.Needs
	}{
		"nothing":      {" {}", core.Needs{}},
		"no network":   {" {network: none}", core.Needs{}},
		"empty list":   {" {network: []}", core.Needs{}},
		"hosts":        {" {network: [\"api.example.com:443\", \"*:80\", \"[::1]:8080\"]}", core.Needs{Network: []string{"api.example.com:443", "*:80", "[::1]:8080"}}},
		"files":        {" {files: [/srv/maps, \"${path}\", {path: /srv/out, mode: rw}, {path: /a, mode: ro}]}", core.Needs{Files: []core.FileNeed{{Path: "/srv/maps"}, {Path: "${path}"}, {Path: "/srv/out", Write: true}, {Path: "/a"}}}},
		"devices":      {" {devices: [/dev/nvidia*, /dev/dri]}", core.Needs{Devices: []string{"/dev/nvidia*", "/dev/dri"}}},
		"binary size":  {" {memory: 512MiB}", core.Needs{Memory: 512 << 20}},
		"decimal size": {" {memory: 1.5 GB}", core.Needs{Memory: 1.5e9}},
		"bytes":        {" {memory: 16777217B}", core.Needs{Memory: 16<<20 + 1}},
		"cpu":          {" {cpu: 1.5, processes: 4}", core.Needs{CPU: 1.5, Processes: 4}},
		"whole cpu":    {" {cpu: 2}", core.Needs{CPU: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Decode("capsule.yaml", []byte(needy+c.text+"\n"))
			if err != nil || !reflect.DeepEqual(d.Needs, c.want) {
				t.Fatalf("got %+v, %v", d.Needs, err)
			}
			text, err := Encode(d)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Decode("capsule.yaml", text)
			if err != nil || !again.Needs.Equal(d.Needs) {
				t.Errorf("written as %s: %+v, %v", text, again.Needs, err)
			}
			if strings.Contains(string(text), "needs:") == c.want.IsZero() {
				t.Errorf("written as %s", text)
			}
		})
	}
}

func TestNeedsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":       {" {netwrk: none}", `capsule.yaml:5:9: needs: unknown key "netwrk" (did you mean "network"?`},
		"no mapping":        {" all", "capsule.yaml:5:8: needs: \"all\" is not a mapping"},
		"network word":      {" {network: all}", `5:18: needs.network: "all" is neither none nor a list (want none, or host:port`},
		"no port":           {" {network: [example.com]}", `5:19: needs.network[0]: "example.com" is not host:port`},
		"port 0":            {" {network: [\"a:0\"]}", "needs.network[0]: \"a:0\": the port is a number within 1..65535"},
		"no host":           {" {network: [\":80\"]}", "is not host:port"},
		"twice":             {" {network: [\"a:1\", \"a:1\"]}", "stands there twice"},
		"files no list":     {" {files: /a}", `needs.files: "/a" is not a list`},
		"relative":          {" {files: [a/b]}", `"a/b" is neither a plain absolute path nor ${option}`},
		"leaves":            {" {files: [/a/../b]}", "is neither a plain absolute path"},
		"unknown option":    {" {files: [\"${nope}\"]}", `there is no option "nope" of type str or list`},
		"option of numbers": {" {files: [\"${n}\"]}", `there is no option "n" of type str or list`},
		"mode":              {" {files: [{path: /a, mode: rwx}]}", `5:34: needs.files[0].mode: "rwx" is no mode (want ro or rw)`},
		"no path":           {" {files: [{mode: rw}]}", `key "path" is missing`},
		"device":            {" {devices: [/etc/passwd]}", `"/etc/passwd" is not the path of a device below /dev`},
		"device leaves":     {" {devices: [/dev/../etc]}", "is not the path of a device"},
		"bare number":       {" {memory: 512}", "5:17: needs.memory: 512 is no size (want a number with its unit: 512MiB, 1.5GiB)"},
		"unit":              {" {memory: 5 bananas}", "is no size"},
		"no memory":         {" {memory: 0MiB}", "is out of range"},
		"little memory":     {" {memory: 1MiB}", "with which nothing starts"},
		"cpu word":          {" {cpu: all}", "is no number of CPUs"},
		"cpu below":         {" {cpu: -1}", "is no number of CPUs"},
		"cpu nan":           {" {cpu: .nan}", "is no number of CPUs"},
		"cpu tiny":          {" {cpu: 0.001}", "is not within 0.01..1024"},
		"no processes":      {" {processes: 0}", "want 1..4096"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode("capsule.yaml", []byte(needy+c.text+"\n"))
			if err == nil || !strings.Contains(err.Error(), c.want) || core.KindOf(err) != core.Invalid || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestNeedsOfOptions(t *testing.T) {
	t.Parallel()
	n := core.Needs{Files: []core.FileNeed{{Path: "/a"}, {Path: "${one}"}, {Path: "${many}", Write: true}, {Path: "${none}"}}}
	got := n.Resolve(core.Values{"one": "x.txt", "many": []string{"/p", "/q"}, "none": ""})
	want := []core.FileNeed{{Path: "/a"}, {Path: "x.txt"}, {Path: "/p", Write: true}, {Path: "/q", Write: true}}
	if !reflect.DeepEqual(got.Files, want) || len(n.Files) != 4 {
		t.Errorf("got %+v", got.Files)
	}
}
