package detect

import (
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// COCO are the 80 classes of the COCO data set, in the order of networks trained on it.
var COCO = strings.Split("person,bicycle,car,motorbike,aeroplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"+
	"parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"+
	"skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,"+
	"knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,sofa,pottedplant,bed,"+
	"diningtable,toilet,tvmonitor,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,"+
	"vase,scissors,teddy bear,hair drier,toothbrush", ",")

// Names gives the class names of a network with that many outputs: those that are given, else
// COCO's for 80 and person for one. It is a fault when there is another number of them.
func Names(given []string, classes int) ([]string, error) {
	switch {
	case len(given) == classes && classes > 0:
		return given, nil
	case len(given) > 0:
		return nil, core.Faultf(core.Invalid, "option", "names", "%d names, but the model tells %d classes", len(given), classes)
	case classes == len(COCO):
		return COCO, nil
	case classes == 1:
		return COCO[:1], nil
	default:
		f := core.Faultf(core.Invalid, "option", "names", "the model tells %d classes, neither COCO's 80 nor one for persons", classes)
		f.Hint = "give their names, in the model's order, in the option names"
		return nil, f
	}
}

// Wanted says for each class of a network whether it is among wanted. A name that is neither the
// network's nor COCO's is a fault, as are wanted classes of which the network tells none.
func Wanted(names, wanted []string) ([]bool, error) {
	take, any := make([]bool, len(names)), false
	for _, w := range wanted {
		i := slices.Index(names, w)
		if i < 0 && !slices.Contains(COCO, w) {
			f := core.Faultf(core.Invalid, "option", "classes", "the model knows no class %q", w)
			f.Hint = "it knows " + strings.Join(names, ", ")
			if near := core.Nearest(w, names); len(near) > 0 {
				f.Hint = "did you mean " + near[0] + "? " + f.Hint
			}
			return nil, f
		}
		if i >= 0 {
			take[i], any = true, true
		}
	}
	if !any {
		f := core.Faultf(core.Invalid, "option", "classes", "the model tells none of them")
		f.Hint = "it knows " + strings.Join(names, ", ")
		return nil, f
	}
	return take, nil
}
