package plan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
)

func stages(p *plan.Plan) string {
	var s []string
	for _, st := range p.Stages {
		s = append(s, strings.Join(st, ","))
	}
	return strings.Join(s, " | ")
}

func unproven(p *plan.Plan) string {
	var s []string
	for _, u := range p.Unproven {
		s = append(s, u.Capsule+": "+strings.Join(u.Keys, ","))
	}
	return strings.Join(s, "; ")
}

func blocked(p *plan.Plan) string {
	var s []string
	for _, b := range p.Blocked {
		s = append(s, b.Capsule+": "+b.Reason)
	}
	return strings.Join(s, "; ")
}

func dropped(p *plan.Plan) string {
	var s []string
	for _, e := range p.Dropped {
		s = append(s, e.From+"->"+e.To)
	}
	return strings.Join(s, " ")
}

func mustMake(t testing.TB, list []plan.Capsule, idle ...plan.Capsule) *plan.Plan {
	t.Helper()
	p, err := plan.Make(list, idle...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type planCase struct {
	capsules                             []plan.Capsule
	stages, unproven, blocked, dropEdges string
}

const trkUnproven = "tracker_vehicle_iou: confidence"

// planCases are the planner's table, PL1 to PL30 of the capsule contract.
var planCases = map[string]planCase{
	"PL1": {[]plan.Capsule{pvb}, "detector_person_vehicle_bike_openvino", "", "", ""},
	"PL2": {[]plan.Capsule{personExample, gait}, "detector_person_example | classifier_gait_example", "", "", ""},
	"PL3": {[]plan.Capsule{pvb, tracker}, "detector_person_vehicle_bike_openvino | tracker_vehicle_iou", trkUnproven, "", ""},
	"PL4": {[]plan.Capsule{pvb, tracker, speed}, "detector_person_vehicle_bike_openvino | tracker_vehicle_iou | calculator_object_speed", trkUnproven, "", ""},
	"PL5": {[]plan.Capsule{pvb, tracker, speed, color}, "detector_person_vehicle_bike_openvino | classifier_vehicle_color_openvino,tracker_vehicle_iou | calculator_object_speed", trkUnproven, "", ""},
	"PL6": {
		[]plan.Capsule{faceOpen, ageGender, emotion, mask, faceEncoder, cardFace},
		"detector_face_openvino | classifier_face_age_gender_openvino,classifier_face_emotion_openvino,classifier_mask_closeup_openvino,recognizer_face,recognizer_identitycard_face", "", "", "",
	},
	"PL7":  {[]plan.Capsule{faceFast, faceOpen, faceEncoder}, "detector_face_fast,detector_face_openvino | recognizer_face", "", "", ""},
	"PL8":  {[]plan.Capsule{speed}, "", "", "calculator_object_speed: no class: nobody gives any class", ""},
	"PL9":  {[]plan.Capsule{person, speed}, "detector_person_openvino", "", "calculator_object_speed: missing trait: tracked (class person)", ""},
	"PL10": {[]plan.Capsule{faceFast, tracker}, "detector_face_fast", "", "tracker_vehicle_iou: no class: nobody gives any of [bike, boat, bus, car, license_plate, motorcycle, person, special vehicle, train, truck, vehicle]", ""},
	"PL11": {
		[]plan.Capsule{person, overhead, pose, gearOf, personAttrs},
		"detector_person_openvino,detector_person_overhead_openvino | classifier_person_attributes_openvino,classifier_pose_closeup,classifier_safety_gear_openvino", "", "", "",
	},
	"PL12":  {[]plan.Capsule{ocr04, person}, "detector_person_openvino", "", "detector_ocr_cn: no class: nobody gives any of [home_cell, home_cell object, home_cell object noise, roaming_cell, roaming_cell object, roaming_cell object noise, screen]", ""},
	"PL13":  {[]plan.Capsule{ocr04, screen}, "detector_screen | detector_ocr_cn", "", "", ""},
	"PL14a": {[]plan.Capsule{block, ocrMain}, "detector_ocr_cn | classifier_block_in_image", "", "", ""},
	"PL14b": {[]plan.Capsule{block, ocrMain, faceOpen, person}, "detector_face_openvino,detector_ocr_cn,detector_person_openvino | classifier_block_in_image", "", "", ""},
	"PL14c": {[]plan.Capsule{block, faceOpen}, "detector_face_openvino | classifier_block_in_image", "", "", ""},
	"PL15":  {[]plan.Capsule{filter, person, pose}, "detector_person_openvino | classifier_pose_closeup | classification_detections_filter", "", "", ""},
	"PL16":  {[]plan.Capsule{filter}, "", "", "classification_detections_filter: no class: nobody gives any class", ""},
	"PL17":  {[]plan.Capsule{car, carEncoder, fromEncoding}, "detector_car | encoder_car | color_from_encoding", "", "", ""},
	"PL18":  {[]plan.Capsule{car, fromEncoding}, "detector_car", "", "color_from_encoding: missing trait: encoded (class car)", ""},
	"PL19":  {[]plan.Capsule{car, face, someEncoder, fromEncoding}, "detector_car,detector_face | encoder_face", "", "color_from_encoding: missing trait: encoded (class car)", ""},
	"PL20":  {[]plan.Capsule{pvb, tracker03}, "detector_person_vehicle_bike_openvino | tracker_vehicle_iou", "tracker_vehicle_iou: detection_confidence", "", ""},
	"PL21":  {[]plan.Capsule{detector("detector_x", cls("car"), keys("confidence")), tracker}, "detector_x | tracker_vehicle_iou", "", "", ""},
	"PL22":  {[]plan.Capsule{det, roleA, roleB}, "det", "", "a: missing trait: attribute role (class person); b: missing trait: tracked (class person)", ""},
	"PL23":  {[]plan.Capsule{det, helmetA, helmetB}, "det | a | b", "", "", "b->a"},
	"PL24":  {[]plan.Capsule{helmetA, helmetB}, "", "", "a: no class: nobody gives any of [person]; b: no class: nobody gives any of [helmet]", ""},
	"PL25":  {[]plan.Capsule{det, genderOf, outfit}, "det | g | u", "", "", ""},
	"PL26":  {[]plan.Capsule{det, capsule("w1", all(nil), all(cls("w1"))), capsule("w2", all(nil), all(cls("w2")))}, "det | w1 | w2", "", "", "w2->w1"},
	"PL27": {
		[]plan.Capsule{detector("det", cls("person", "vehicle")), capsule("t", all(cls("vehicle")), all(cls("vehicle"), trk)), capsule("s", single(nil, trk), single(nil, trk, keys("v")))},
		"det | t | s", "", "", "",
	},
	"PL28": {
		zoo,
		"detector_face_fast,detector_face_openvino,detector_person_example,detector_person_openvino,detector_person_overhead_openvino,detector_person_vehicle_bike_openvino,detector_safety_gear_openvino,detector_text_openvino,recognizer_handwritten_text_openvino" +
			" | chatgpt_classifier_agent,classifier_face_age_gender_openvino,classifier_face_emotion_openvino,classifier_gait_example,classifier_mask_closeup_openvino,classifier_person_attributes_openvino,classifier_pose_closeup,classifier_vehicle_color_openvino,claude_classifier_agent,recognizer_face,recognizer_identitycard_face,tracker_vehicle_iou" +
			" | calculator_object_speed",
		trkUnproven, "", "",
	},
	"PL29": {[]plan.Capsule{person, chatAgent}, "detector_person_openvino | chatgpt_classifier_agent", "", "", ""},
	"PL30": {nil, "", "", "", ""},

	"a key declared for another class proves nothing": {
		[]plan.Capsule{pvb, faceFast, tracker}, "detector_face_fast,detector_person_vehicle_bike_openvino | tracker_vehicle_iou", trkUnproven, "", "",
	},
	"two keys on two classes, never together": {
		[]plan.Capsule{detector("d1", cls("x"), keys("p")), detector("d2", cls("y"), keys("q")), capsule("c", all(cls("x", "y"), keys("p", "q")), all(cls("z")))},
		"d1,d2 | c", "c: p,q", "", "",
	},
	"a key that is declared late proves, and is waited for": {
		[]plan.Capsule{det, capsule("k", single(cls("person"), keys("q")), single(cls("person"), keys("q", "r"))), capsule("a", all(cls("person"), keys("r")), all(cls("z")))},
		"det | k | a", "k: q", "", "",
	},
	"a key that only comes from behind is not proven": {
		[]plan.Capsule{det, capsule("a", all(cls("person"), keys("r")), all(cls("z"))), capsule("b", all(cls("z")), all(cls("y"))), capsule("c", all(cls("y")), single(cls("person"), keys("r")))},
		"det | a | b | c", "a: r", "", "c->a",
	},
	"ready ones come before those that lack a key": {
		[]plan.Capsule{det, capsule("a", all(cls("person"), keys("r")), all(cls("z"))), capsule("b", all(cls("person")), all(cls("y"))), capsule("c", all(cls("y")), all(cls("person"), keys("r")))},
		"det | b | c | a", "", "", "c->b",
	},
	"a trait for any class": {
		[]plan.Capsule{det, capsule("t", all(nil), all(nil, trk)), speed}, "det | t | calculator_object_speed", "", "", "calculator_object_speed->t",
	},
	"a capsule does not feed itself": {
		[]plan.Capsule{capsule("w", all(nil), all(cls("w")))}, "", "", "w: no class: nobody gives any class", "",
	},
	"several traits, the nearest class is named": {
		[]plan.Capsule{detector("d", cls("x", "y", "z")), capsule("t", all(cls("x", "y")), all(cls("x", "y"), trk)), capsule("c", all(cls("x", "y", "z"), trk, enc, attr("role", "m")), all(cls("q")))},
		"d | t", "", "c: missing trait: attribute role, encoded (class x, y)", "",
	},
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for name, c := range planCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustMake(t, c.capsules)
			for what, pair := range map[string][2]string{
				"stages": {stages(p), c.stages}, "unproven": {unproven(p), c.unproven}, "blocked": {blocked(p), c.blocked}, "dropped": {dropped(p), c.dropEdges},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s\ngot  %s\nwant %s", what, pair[0], pair[1])
				}
			}
		})
	}
}

func why(p *plan.Plan, from, to string) string {
	for _, e := range p.Edges {
		if e.From == from && e.To == to {
			return strings.Join(e.Why, "; ")
		}
	}
	return "none"
}

func TestEdges(t *testing.T) {
	t.Parallel()
	pvbName, trkName, spd := pvb.Name, tracker.Name, speed.Name
	for name, c := range map[string]struct {
		capsules []plan.Capsule
		from, to string
		want     string
	}{
		"classes":                       {planCases["PL4"].capsules, pvbName, trkName, "class bike; class person; class vehicle"},
		"trait":                         {planCases["PL4"].capsules, trkName, spd, "trait tracked"},
		"class of the tracked":          {planCases["PL4"].capsules, pvbName, spd, "class bike; class person; class vehicle"},
		"class and key":                 {planCases["PL21"].capsules, "detector_x", trkName, "class car; key confidence"},
		"attribute":                     {planCases["PL25"].capsules, "g", "u", "attribute gender"},
		"encoding":                      {planCases["PL17"].capsules, "encoder_car", "color_from_encoding", "trait encoded"},
		"whatever there is":             {planCases["PL15"].capsules, "classifier_pose_closeup", filter.Name, "any node"},
		"whatever there is, by class":   {planCases["PL15"].capsules, person.Name, filter.Name, "class person"},
		"not for classes it is not fed": {planCases["PL28"].capsules, faceFast.Name, spd, "none"},
		"only viable classes":           {planCases["PL27"].capsules, "det", "s", "class vehicle"},
		"both detectors":                {planCases["PL11"].capsules, overhead.Name, pose.Name, "class person"},
		"detectors wait for nobody":     {planCases["PL28"].capsules, person.Name, overhead.Name, "none"},
	} {
		if got := why(mustMake(t, c.capsules), c.from, c.to); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	var toSpeed []string
	for _, e := range mustMake(t, zoo).Edges {
		if e.To == spd {
			toSpeed = append(toSpeed, e.From)
		}
	}
	if want := []string{personExample.Name, person.Name, overhead.Name, pvbName, trkName}; !slices.Equal(toSpeed, want) {
		t.Errorf("the speed waits for %v, want %v", toSpeed, want)
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		active, idle []plan.Capsule
		capsule      string
		want         string
	}{
		"a class":           {[]plan.Capsule{ageGender}, nil, ageGender.Name, "add a capsule that gives nodes of class face"},
		"any class":         {[]plan.Capsule{speed}, nil, speed.Name, "add a capsule that finds something, such as a detector"},
		"an encoding":       {[]plan.Capsule{car, fromEncoding}, nil, fromEncoding.Name, "add a capsule that gives encoded nodes of class car"},
		"a track":           {[]plan.Capsule{pvb, speed}, nil, speed.Name, "add a capsule that gives tracked nodes of class bike, person or vehicle"},
		"an attribute":      {[]plan.Capsule{det, outfit}, nil, "u", "add a capsule that gives the attribute gender to nodes of class person"},
		"many classes":      {[]plan.Capsule{tracker}, nil, tracker.Name, "add a capsule that gives nodes of class bike, boat, bus, car, license_plate or …"},
		"blocked help":      {[]plan.Capsule{det, roleA, roleB}, nil, "a", "add a capsule that gives the attribute role to nodes of class person; it would help, but is left out itself: b"},
		"idle help":         {[]plan.Capsule{pvb, speed}, []plan.Capsule{tracker, face, carEncoder}, speed.Name, "add a capsule that gives tracked nodes of class bike, person or vehicle; switched off, and it would help: tracker_vehicle_iou"},
		"idle class":        {[]plan.Capsule{ageGender}, []plan.Capsule{pvb, faceOpen, faceFast}, ageGender.Name, "add a capsule that gives nodes of class face; switched off, and it would help: detector_face_fast, detector_face_openvino"},
		"idle, other class": {[]plan.Capsule{car, fromEncoding}, []plan.Capsule{someEncoder}, fromEncoding.Name, "add a capsule that gives encoded nodes of class car"},
		"idle attribute":    {[]plan.Capsule{det, outfit}, []plan.Capsule{genderOf}, "u", "add a capsule that gives the attribute gender to nodes of class person; switched off, and it would help: g"},
	} {
		p := mustMake(t, c.active, c.idle...)
		i := slices.IndexFunc(p.Blocked, func(b plan.Blocked) bool { return b.Capsule == c.capsule })
		if i < 0 || p.Blocked[i].Hint != c.want {
			t.Errorf("%s: got %+v", name, p.Blocked)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	if _, err := plan.Make([]plan.Capsule{det, pvb, det}); core.KindOf(err) != core.Exists || !strings.Contains(err.Error(), "det") {
		t.Errorf("twice: %v", err)
	}
	if _, err := plan.Make([]plan.Capsule{{}}); core.KindOf(err) != core.Invalid {
		t.Errorf("no name: %v", err)
	}
}

// A capsule that is switched off, or in a crash loop, is left out by the caller; its dependants
// are blocked with the reason.
func TestWithoutOne(t *testing.T) {
	t.Parallel()
	p := mustMake(t, []plan.Capsule{pvb, speed})
	if got := blocked(p); got != "calculator_object_speed: missing trait: tracked (class bike, person, vehicle)" {
		t.Errorf("got %s", got)
	}
}

// A catalogue of random capsules, with few words so that they meet.
func randomCatalogue(rng *rand.Rand, n int) []plan.Capsule {
	some := func(prefix string, most, words int) []string {
		var l []string
		for range rng.IntN(most + 1) {
			if w := fmt.Sprint(prefix, rng.IntN(words)); !slices.Contains(l, w) {
				l = append(l, w)
			}
		}
		return l
	}
	random := func(s core.Size) core.Description {
		d := core.Description{Size: s, Detections: some("c", 3, 8), ExtraData: some("k", 1, 4), Encoded: rng.IntN(6) == 0, Tracked: rng.IntN(6) == 0}
		for _, a := range some("a", 1, 4) {
			d.Attributes = append(d.Attributes, core.Attribute{Name: a, Values: []string{"v"}})
		}
		return d
	}
	list := make([]plan.Capsule, 0, n)
	for i := range n {
		c := plan.Capsule{Name: fmt.Sprintf("x%02d", i), Input: none(), Output: random(core.SizeAll)}
		if rng.IntN(3) > 0 {
			c.Input = random(core.Size(2 + rng.IntN(2)))
		}
		list = append(list, c)
	}
	return list
}

func TestProperties(t *testing.T) {
	t.Parallel()
	var withDropped, withUnproven, withBlocked int
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 7))
		list := randomCatalogue(rng, 1+rng.IntN(24))
		p := mustMake(t, list)
		checkPlan(t, list, p)
		want, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if got, _ := json.Marshal(mustMake(t, list)); string(got) != string(want) {
			t.Fatalf("seed %d: another order, another plan\n%s\n%s", seed, want, got)
		}
		checkUnrelated(t, list, p)
		checkAgainstNaive(t, list, p)
		withDropped += min(1, len(p.Dropped))
		withUnproven += min(1, len(p.Unproven))
		withBlocked += min(1, len(p.Blocked))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if withDropped < 40 || withUnproven < 40 || withBlocked < 40 {
		t.Errorf("too tame: %d with dropped edges, %d with unproven, %d with blocked", withDropped, withUnproven, withBlocked)
	}
}

// checkPlan holds the partition, the direction of edges and the stages against each other.
func checkPlan(t *testing.T, list []plan.Capsule, p *plan.Plan) {
	t.Helper()
	stage, seen := map[string]int{}, map[string]int{}
	for i, s := range p.Stages {
		if len(s) == 0 || !slices.IsSorted(s) {
			t.Errorf("stage %d is %v", i, s)
		}
		for _, name := range s {
			stage[name] = i
			seen[name]++
		}
	}
	for _, b := range p.Blocked {
		seen[b.Capsule]++
		if !strings.HasPrefix(b.Reason, "no class: ") && !strings.HasPrefix(b.Reason, "missing trait: ") || b.Hint == "" {
			t.Errorf("reason %+v", b)
		}
	}
	for _, c := range list {
		if seen[c.Name] != 1 {
			t.Errorf("%s stands %d times among stages and blocked", c.Name, seen[c.Name])
		}
	}
	latest := map[string]int{}
	for _, e := range p.Edges {
		if stage[e.From] >= stage[e.To] || len(e.Why) == 0 || !slices.IsSorted(e.Why) {
			t.Errorf("edge %+v from stage %d to %d", e, stage[e.From], stage[e.To])
		}
		latest[e.To] = max(latest[e.To], stage[e.From]+1)
	}
	for name, s := range stage {
		if latest[name] != s {
			t.Errorf("%s is in stage %d, its edges want %d", name, s, latest[name])
		}
	}
	for _, u := range p.Unproven {
		if _, in := stage[u.Capsule]; !in || len(u.Keys) == 0 {
			t.Errorf("unproven %+v", u)
		}
	}
	byEnds := func(a, b plan.Edge) int {
		return strings.Compare(a.From+"\x00"+a.To, b.From+"\x00"+b.To)
	}
	if !slices.IsSortedFunc(p.Edges, byEnds) || !slices.IsSortedFunc(p.Dropped, byEnds) {
		t.Errorf("edges are not sorted")
	}
}

// A capsule with which nobody shares a word changes nothing but its own entry, unless there
// are capsules that take any class.
func checkUnrelated(t *testing.T, list []plan.Capsule, p *plan.Plan) {
	t.Helper()
	if slices.ContainsFunc(list, func(c plan.Capsule) bool { return c.Input.Size != core.SizeNone && len(c.Input.Detections) == 0 }) {
		return
	}
	more := mustMake(t, append(slices.Clone(list), detector("unrelated", cls("nothing like it"), keys("nor this"))))
	if len(more.Stages) == 0 || !slices.Contains(more.Stages[0], "unrelated") {
		t.Errorf("it is not in the first stage: %s", stages(more))
		return
	}
	more.Stages[0] = slices.DeleteFunc(more.Stages[0], func(s string) bool { return s == "unrelated" })
	if len(more.Stages[0]) == 0 {
		more.Stages = more.Stages[1:]
	}
	a, _ := json.Marshal(p)
	b, _ := json.Marshal(more)
	if string(a) != string(b) {
		t.Errorf("an unrelated capsule changed\n%s\nto\n%s", a, b)
	}
}

// checkAgainstNaive computes rounds, edges and drops again, word by word after the
// specification and without any cleverness.
func checkAgainstNaive(t *testing.T, list []plan.Capsule, p *plan.Plan) {
	t.Helper()
	n := naive{}
	n.run(list)
	var kept, drop []string
	for e, gone := range n.edges {
		if gone {
			drop = append(drop, e)
		} else {
			kept = append(kept, e)
		}
	}
	slices.Sort(kept)
	slices.Sort(drop)
	render := func(edges []plan.Edge) []string {
		var s []string
		for _, e := range edges {
			s = append(s, e.From+">"+e.To)
		}
		slices.Sort(s)
		return s
	}
	if got := render(p.Edges); !slices.Equal(got, kept) {
		t.Errorf("edges\ngot  %v\nwant %v", got, kept)
	}
	if got := render(p.Dropped); !slices.Equal(got, drop) {
		t.Errorf("dropped\ngot  %v\nwant %v", got, drop)
	}
	for _, c := range list {
		runs := p.Stage(c.Name) >= 0
		if runs != (n.round[c.Name] > 0) {
			t.Errorf("%s runs: %v, want %v", c.Name, runs, !runs)
		}
		listed := slices.ContainsFunc(p.Unproven, func(u plan.Unproven) bool { return u.Capsule == c.Name })
		if want := runs && c.Input.Size != core.SizeNone && !n.proven(c); listed != want {
			t.Errorf("%s is unproven: %v, want %v", c.Name, listed, want)
		}
	}
}

type naive struct {
	list  []plan.Capsule
	round map[string]int
	edges map[string]bool // from>to → dropped
}

func inList(l []string, s string) bool { return slices.Contains(l, s) }

func reach(c plan.Capsule) []string {
	if len(c.Output.Detections) > 0 {
		return c.Output.Detections
	}
	return c.Input.Detections
}

func (n *naive) creates(c plan.Capsule, k string) bool {
	return inList(c.Input.Difference(c.Output).Detections, k)
}

// gives says whether another running capsule adds the trait to class k. Traits are written
// "enc", "trk", "attr x", "key x".
func (n *naive) gives(me string, trait, k string) bool {
	for _, c := range n.list {
		if c.Name != me && n.round[c.Name] > 0 && (len(reach(c)) == 0 || inList(reach(c), k)) && inList(traitsOf(c.Input.Difference(c.Output)), trait) {
			return true
		}
	}
	return false
}

// proven says whether some class has every key from capsules that run before c.
func (n *naive) proven(c plan.Capsule) bool {
	classes, _ := n.viable(c)
	return slices.ContainsFunc(classes, func(k string) bool {
		for _, key := range c.Input.ExtraData {
			if !slices.ContainsFunc(n.list, func(p plan.Capsule) bool {
				gone, waits := n.edges[p.Name+">"+c.Name]
				return waits && !gone && (len(reach(p)) == 0 || inList(reach(p), k)) && inList(p.Input.Difference(p.Output).ExtraData, key)
			}) {
				return false
			}
		}
		return true
	})
}

func traitsOf(d core.Description) []string {
	var s []string
	if d.Encoded {
		s = append(s, "enc")
	}
	if d.Tracked {
		s = append(s, "trk")
	}
	for _, a := range d.Attributes {
		s = append(s, "attr "+a.Name)
	}
	for _, k := range d.ExtraData {
		s = append(s, "key "+k)
	}
	return s
}

func (n *naive) viable(c plan.Capsule) (classes []string, ready bool) {
	for i := range 8 {
		k := fmt.Sprint("c", i)
		if len(c.Input.Detections) > 0 && !inList(c.Input.Detections, k) {
			continue
		}
		created := slices.ContainsFunc(n.list, func(o plan.Capsule) bool { return o.Name != c.Name && n.round[o.Name] > 0 && n.creates(o, k) })
		hard, soft := true, true
		for _, tr := range traitsOf(c.Input) {
			if n.gives(c.Name, tr, k) {
				continue
			}
			if strings.HasPrefix(tr, "key ") {
				soft = false
			} else {
				hard = false
			}
		}
		if created && hard {
			classes = append(classes, k)
			ready = ready || soft
		}
	}
	return classes, ready
}

func (n *naive) run(list []plan.Capsule) {
	n.list, n.round, n.edges = slices.Clone(list), map[string]int{}, map[string]bool{}
	for round := 1; ; round++ {
		var ready, maybe []string
		for _, c := range n.list {
			classes, ok := n.viable(c)
			switch {
			case n.round[c.Name] > 0:
			case c.Input.Size == core.SizeNone, ok:
				ready = append(ready, c.Name)
			case len(classes) > 0:
				maybe = append(maybe, c.Name)
			}
		}
		if len(ready) == 0 {
			ready = maybe
		}
		if len(ready) == 0 {
			break
		}
		for _, name := range ready {
			n.round[name] = round
		}
	}
	for _, c := range n.list {
		for _, p := range n.list {
			if p.Name != c.Name && c.Input.Size != core.SizeNone && n.round[c.Name] > 0 && n.round[p.Name] > 0 && n.edge(p, c) {
				n.edges[p.Name+">"+c.Name] = false
			}
		}
	}
	for e := range n.edges {
		from, to, _ := strings.Cut(e, ">")
		later := n.round[from] > n.round[to] || n.round[from] == n.round[to] && from > to
		n.edges[e] = later && n.path(to, from, map[string]bool{})
	}
}

func (n *naive) edge(p, c plan.Capsule) bool {
	classes, _ := n.viable(c)
	for _, k := range classes {
		if n.creates(p, k) {
			return true
		}
		if len(reach(p)) > 0 && !inList(reach(p), k) {
			continue
		}
		for _, tr := range traitsOf(p.Input.Difference(p.Output)) {
			if inList(traitsOf(c.Input), tr) {
				return true
			}
		}
	}
	free := func(x plan.Capsule) bool {
		return x.Input.Size != core.SizeNone && len(x.Input.Detections) == 0 && len(traitsOf(x.Input)) == 0
	}
	return free(c) && !free(p)
}

func (n *naive) path(from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	seen[from] = true
	for _, c := range n.list {
		if _, ok := n.edges[from+">"+c.Name]; ok && !seen[c.Name] && n.path(c.Name, to, seen) {
			return true
		}
	}
	return false
}
