package plan_test

import (
	"fmt"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
)

// Capsules chain themselves by what they need and give.
func Example() {
	faces := core.Description{Size: core.SizeAll, Detections: []string{"face"}}
	tracked, encoded := faces, core.Description{Size: core.SizeSingle, Detections: []string{"face"}, Encoded: true}
	tracked.Tracked = true
	p, err := plan.Make([]plan.Capsule{
		{Name: "tracker", Input: faces, Output: tracked},
		{Name: "encoder", Input: core.Description{Size: core.SizeSingle, Detections: []string{"face"}, Tracked: true}, Output: encoded},
		{Name: "detector", Input: core.Description{Size: core.SizeNone}, Output: faces},
		{Name: "plates", Input: core.Description{Size: core.SizeSingle, Detections: []string{"vehicle"}}, Output: core.Description{Size: core.SizeSingle, Detections: []string{"vehicle"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, stage := range p.Stages {
		fmt.Println(i+1, stage)
	}
	for _, e := range p.Edges {
		fmt.Println(e.To, "waits for", e.From, e.Why)
	}
	for _, b := range p.Blocked {
		fmt.Println(b.Capsule, "is left out:", b.Reason)
	}
	// Output:
	// 1 [detector]
	// 2 [tracker]
	// 3 [encoder]
	// encoder waits for detector [class face]
	// tracker waits for detector [class face]
	// encoder waits for tracker [trait tracked]
	// plates is left out: no class: nobody gives any of [vehicle]
}
