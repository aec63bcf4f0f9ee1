from vcap import BaseBackend, BaseCapsule, BoolOption, DetectionNode, EnumOption, FloatOption, IntOption, NodeDescription, TextOption


class Backend(BaseBackend):
    def process_frame(self, frame, detection_node, options, state):
        options["left"] -= 1  # the old host keeps one dict, and there are capsules that count in it
        seen = {k: [type(v).__name__, v] for k, v in options.items() if k != "api_key"}
        return [DetectionNode(name="settings", coords=[[0, 0], [1, 1]], extra_data={"seen": seen, "key": len(options["api_key"])})]


class Capsule(BaseCapsule):
    name = "options_all_old"
    version = 1
    input_type = NodeDescription(size=NodeDescription.Size.NONE)
    output_type = NodeDescription(size=NodeDescription.Size.ALL, detections=["settings"], extra_data=["seen", "key"])
    backend_loader = lambda capsule_files, device: Backend()
    options = {
        "share": FloatOption(default=0.25, min_val=0, max_val=None, description="A share."),
        "left": IntOption(default=100, min_val=None, max_val=100),
        "how": EnumOption(default="fast", choices=["fast", "well"]),
        "loud": BoolOption(default=True),
        "words-of": TextOption(default="a: b"),
        "api_key": TextOption(default=""),
    }
