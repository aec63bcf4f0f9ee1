package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const planCatalogue = `- name: detector_face
  version: 1
  output: {size: all, detections: [face], extra_data: [confidence]}
- name: tracker_face
  version: 2
  input: {size: all, detections: ["${classes}"]}
  output: {size: all, detections: ["${classes}"], tracked: true}
  options: {classes: {type: list, default: [face]}}
- name: classifier_mood
  version: 1
  input: {size: single, detections: [face], tracked: true}
  output: {size: single, detections: [face], tracked: true, attributes: {mood: [happy, sad]}}
- name: detector_replay
  version: 1
  on_demand: true
  output: {size: all, detections: ["${class}"]}
  options: {class: {type: str, default: person}}
`

// runPlan gives the standard output and the exit status of capstan plan.
func runPlan(t *testing.T, args ...string) (out string, status int, err error) {
	t.Helper()
	root := rootCommand()
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetArgs(append([]string{"plan"}, args...))
	err = root.Execute()
	return b.String(), exitStatus(err), err
}

func writeCatalogue(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPlanCommand(t *testing.T) {
	t.Parallel()
	path := writeCatalogue(t, "list.yaml", planCatalogue)
	for name, c := range map[string]struct {
		args   []string
		status int
		want   []string // parts of the output, or of the error
	}{
		"text": {nil, 0, []string{
			"Stage 1\n  detector_face\n    needs the frame alone\n\nStage 2\n  tracker_face\n    after detector_face: class face\n\nStage 3\n  classifier_mood\n    after detector_face: class face\n    after tracker_face: trait tracked\n",
			"\nUsed only when named, by --active or an --option: detector_replay\n",
		}},
		"json": {[]string{"--format", "json"}, 0, []string{`{"stages":[["detector_face"],["tracker_face"],["classifier_mood"]],"edges":[{"from":"detector_face","to":"classifier_mood","why":["class face"]},` +
			`{"from":"detector_face","to":"tracker_face","why":["class face"]},{"from":"tracker_face","to":"classifier_mood","why":["trait tracked"]}],"dropped":[],"unproven":[],"blocked":[]}` + "\n"}},
		"mermaid":            {[]string{"--format", "mermaid"}, 0, []string{"flowchart LR\n", `n0("detector_face")`}},
		"dot":                {[]string{"--format", "dot"}, 0, []string{"digraph plan {\n", `[label="class face"]`}},
		"active":             {[]string{"--active", "detector_face, classifier_mood"}, 0, []string{"Stage 1\n  detector_face\n", "Left out:\n  classifier_mood\n    missing trait: tracked (class face)\n    To bring it in: add a capsule that gives tracked nodes of class face; switched off, and it would help: tracker_face.\n"}},
		"active none":        {[]string{"--active", "", "--format", "json"}, 0, []string{`{"stages":[],"edges":[],"dropped":[],"unproven":[],"blocked":[]}`}},
		"option":             {[]string{"--option", "tracker_face.classes=person", "--active", "detector_face,tracker_face"}, 0, []string{"no class: nobody gives any of [person]", "switched off, and it would help: detector_replay"}},
		"option brings in":   {[]string{"--option", "detector_replay.class=cat", "--format", "json"}, 0, []string{`"stages":[["detector_face","detector_replay"],`}},
		"unknown format":     {[]string{"--format", "svg"}, 2, []string{`--format "svg" is not one of text, json, mermaid, dot`}},
		"unknown active":     {[]string{"--active", "detector_fase"}, 2, []string{`there is no capsule "detector_fase"`, "(did you mean detector_face"}},
		"nothing like it":    {[]string{"--active", "zzz"}, 2, []string{"(there are: classifier_mood, detector_face, detector_replay, tracker_face)"}},
		"unknown option":     {[]string{"--option", "tracker_face.clases=x"}, 2, []string{`there is no option "clases"`}},
		"bad option":         {[]string{"--option", "detector_replay.class="}, 2, []string{"entry 1 is empty"}},
		"unknown flag":       {[]string{"--formt", "json"}, 2, []string{"unknown flag: --formt"}},
		"a second catalogue": {[]string{"/nowhere/too"}, 1, []string{"catalog: /nowhere/too: no such file or directory"}},
		"no catalogue":       {[]string{"--catalog", "/nowhere/at/all"}, 1, []string{"catalog: /nowhere/at/all: no such file or directory"}},
		"the same one once":  {[]string{"--catalog", path, "--active", "detector_face"}, 0, []string{"Stage 1\n  detector_face\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, status, err := runPlan(t, append([]string{"--catalog", path}, c.args...)...)
			if err != nil {
				got += err.Error()
			}
			if status != c.status || strings.Contains(got, "\n") && status != 0 {
				t.Errorf("status %d, %s", status, got)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
		})
	}
}

func TestPlanTakesNoArgumentsOfItsOwn(t *testing.T) {
	t.Parallel()
	if _, status, err := runPlan(t, "x"); status != 2 || !strings.Contains(err.Error(), "takes no arguments") {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestPlanBrokenManifest(t *testing.T) {
	t.Parallel()
	path := writeCatalogue(t, "capsule.yaml", "name: a\nversion: 1\noutput: {size: all}\noptions:\n  threshold:\n    type: float\n    default: high\n    min: 0\n    max: 1\n")
	out, status, err := runPlan(t, "--catalog", filepath.Dir(path), "--format", "json")
	want := path + `:7:14: options.threshold.default: "high" is not a number (want a float within 0..1)`
	if out != "" || err == nil || err.Error() != want || status != 1 {
		t.Errorf("status %d, %q, %v", status, out, err)
	}
}

func TestPlanDefaultCatalogue(t *testing.T) {
	path := writeCatalogue(t, "capsule.yaml", "name: only\nversion: 1\noutput: {size: all, detections: [x]}\n")
	t.Setenv("CAPSTAN_CAPSULES", filepath.Dir(path))
	out, status, err := runPlan(t, "--format", "json")
	if err != nil || status != 0 || !strings.Contains(out, `"stages":[["only"]]`) {
		t.Errorf("status %d, %q, %v", status, out, err)
	}
}

// The order of the catalogues changes nothing.
func TestPlanOfAnyOrder(t *testing.T) {
	t.Parallel()
	a := writeCatalogue(t, "a.yaml", "- {name: w, version: 1, input: {size: all}, output: {size: all, detections: [w]}}\n")
	b := writeCatalogue(t, "b.yaml", "- {name: d, version: 1, output: {size: all, detections: [x]}}\n")
	one, _, err := runPlan(t, "--catalog", a, "--catalog", b, "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	two, _, _ := runPlan(t, "--catalog", b, "--catalog", a, "--format", "json")
	var v map[string]any
	if one != two || json.Unmarshal([]byte(one), &v) != nil || len(v) != 5 {
		t.Errorf("%s\n%s", one, two)
	}
}
