package plan_test

import (
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
)

// The descriptions of a public set of capsules, as data for the tables.

type with func(*core.Description)

func attr(name string, values ...string) with {
	return func(d *core.Description) {
		d.Attributes = append(d.Attributes, core.Attribute{Name: name, Values: values})
	}
}

func keys(k ...string) with {
	return func(d *core.Description) { d.ExtraData = append(d.ExtraData, k...) }
}

func enc(d *core.Description) { d.Encoded = true }
func trk(d *core.Description) { d.Tracked = true }

func describe(s core.Size, classes []string, more []with) core.Description {
	d := core.Description{Size: s, Detections: classes}
	for _, m := range more {
		m(&d)
	}
	return d
}

func cls(c ...string) []string { return c }

func none() core.Description { return core.Description{Size: core.SizeNone} }

func single(classes []string, more ...with) core.Description {
	return describe(core.SizeSingle, classes, more)
}

func all(classes []string, more ...with) core.Description {
	return describe(core.SizeAll, classes, more)
}

func capsule(name string, in, out core.Description) plan.Capsule {
	return plan.Capsule{Name: name, Input: in, Output: out}
}

func detector(name string, classes []string, more ...with) plan.Capsule {
	return capsule(name, none(), all(classes, more...))
}

var (
	vehicles     = cls("car", "bus", "truck", "van", "vehicle")
	trackable    = cls("car", "motorcycle", "bus", "train", "truck", "boat", "vehicle", "license_plate", "bike", "special vehicle", "person")
	ocrInput     = cls("home_cell", "home_cell object", "home_cell object noise", "roaming_cell", "roaming_cell object", "roaming_cell object noise", "screen")
	gender       = attr("gender", "masculine", "feminine", "unknown")
	speedKeys    = keys("pixels_per_second_speed", "pixel_travel", "time_elapsed")
	personTraits = []with{
		gender, attr("bag", "has_bag", "no_bag", "unknown"), attr("backpack", "has_backpack", "no_backpack", "unknown"), attr("hat", "has_hat", "no_hat", "unknown"),
		attr("sleeves", "has_long_sleeves", "has_short_sleeves", "unknown"), attr("pants", "has_long_pants", "has_short_pants", "unknown"),
		attr("hair", "has_long_hair", "has_short_hair", "unknown"), attr("coat_jacket", "has_coat_jacket", "no_coat_jacket", "unknown"),
	}
	blockNames = attr("block_name", "identity_card", "signature", "reception", "portrait", "noname", "block_1")

	personExample = detector("detector_person_example", cls("person"))
	gait          = capsule("classifier_gait_example", single(cls("person")), single(cls("person"), attr("Gait", "Unknown Gait", "Running", "Walking"), keys("gait_confidence")))
	faceFast      = detector("detector_face_fast", cls("face"), keys("confidence"))
	faceOpen      = detector("detector_face_openvino", cls("face"))
	person        = detector("detector_person_openvino", cls("person"))
	overhead      = detector("detector_person_overhead_openvino", cls("person"))
	pvb           = detector("detector_person_vehicle_bike_openvino", cls("vehicle", "person", "bike"))
	safetyGear    = detector("detector_safety_gear_openvino", cls("safety vest", "safety hat"))
	text          = detector("detector_text_openvino", cls("text"), keys("confidence", "text"))
	ocrMain       = detector("detector_ocr_cn", cls("text"), keys("confidence", "ocr", "serial_no"))
	ocr04         = capsule("detector_ocr_cn", single(ocrInput), all(cls("text"), keys("confidence", "ocr")))
	handwritten   = detector("recognizer_handwritten_text_openvino", cls("text"), keys("confidence", "ocr"))
	ageGender     = capsule("classifier_face_age_gender_openvino", single(cls("face")), single(cls("face"), attr("gender", "feminine", "masculine"), attr("age", "Under 12 years", "65+ years"), keys("age", "gender_confidence")))
	emotion       = capsule("classifier_face_emotion_openvino", single(cls("face")), single(cls("face"), attr("emotion", "neutral", "happy", "sad", "surprise", "anger"), keys("emotion_confidence")))
	mask          = capsule("classifier_mask_closeup_openvino", single(cls("face")), single(cls("face"), attr("mask", "not_wearing_mask", "wearing_mask"), keys("mask_confidence")))
	personAttrs   = capsule("classifier_person_attributes_openvino", single(cls("person")), single(cls("person"), personTraits...))
	color         = capsule("classifier_vehicle_color_openvino", single(vehicles), single(vehicles, attr("color", "white", "gray", "yellow", "red", "green", "blue", "black"), attr("vehicle_type", "car", "bus", "truck", "van")))
	pose          = capsule("classifier_pose_closeup", all(cls("person")), all(cls("person"), attr("Pose", "fall down", "stand", "walk", "unknown"), keys("pose_confidence", "pose_iou")))
	gearOf        = capsule("classifier_safety_gear_openvino", all(cls("person")), all(cls("person"), attr("safety_hat", "without_safety_hat", "with_safety_hat"), attr("safety_vest", "without_safety_vest", "with_safety_vest"), keys("safety_hat_iou", "safety_hat_confidence", "safety_vest_iou", "safety_vest_confidence")))
	block         = capsule("classifier_block_in_image", all(cls("text", "face", "person")), all(cls("text"), blockNames))
	faceEncoder   = capsule("recognizer_face", single(cls("face")), single(cls("face"), enc))
	cardFace      = capsule("recognizer_identitycard_face", all(cls("face")), all(cls("face_compare"), keys("face_compare_confidence")))
	tracker       = capsule("tracker_vehicle_iou", all(trackable, keys("confidence")), all(trackable, trk, keys("confidence")))
	tracker03     = capsule("tracker_vehicle_iou", all(trackable, keys("detection_confidence")), all(trackable, trk, keys("detection_confidence")))
	speed         = capsule("calculator_object_speed", single(nil, trk), single(nil, trk, speedKeys))
	filter        = capsule("classification_detections_filter", all(nil), all(cls("filter_confirmed"), keys("filter_confirmed")))
	chatAgent     = capsule("chatgpt_classifier_agent", all(cls("person")), all(cls("chatgpt"), keys("chatgpt")))
	claudeAgent   = capsule("claude_classifier_agent", all(cls("person")), all(cls("claude"), keys("claude")))

	// Small ones of the tables themselves.
	screen       = detector("detector_screen", cls("screen"))
	car          = detector("detector_car", cls("car"))
	face         = detector("detector_face", cls("face"))
	det          = detector("det", cls("person"))
	carEncoder   = capsule("encoder_car", single(cls("car")), single(cls("car"), enc))
	someEncoder  = capsule("encoder_face", single(cls("face")), single(cls("face"), enc))
	fromEncoding = capsule("color_from_encoding", single(cls("car"), enc), single(cls("car"), enc, attr("color", "blue", "yellow", "green")))
	genderOf     = capsule("g", single(cls("person")), single(cls("person"), attr("gender", "m", "f")))
	outfit       = capsule("u", single(cls("person"), attr("gender", "m", "f")), single(cls("person"), attr("gender", "m", "f"), attr("outfit", "a", "b")))
	helmetA      = capsule("a", all(cls("person")), all(cls("helmet")))
	helmetB      = capsule("b", all(cls("helmet")), all(cls("person")))
	roleA        = capsule("a", all(cls("person"), attr("role", "x")), all(cls("person"), attr("role", "x"), trk))
	roleB        = capsule("b", single(cls("person"), trk), single(cls("person"), trk, attr("role", "x")))

	zoo = []plan.Capsule{
		personExample, faceFast, faceOpen, person, overhead, pvb, safetyGear, text, handwritten,
		gait, ageGender, emotion, mask, personAttrs, color, pose, faceEncoder, cardFace, tracker, speed, chatAgent, claudeAgent,
	}
)
