from vcap import BaseCapsule, DeviceMapper, FloatOption, IntOption, NodeDescription

from .backend import Backend
from .shapes.squares import CLASS


class Capsule(BaseCapsule):
    name = "detector_bright_old"
    description = "✨ Finds squares that are brighter than the rest."
    version = 3
    device_mapper = DeviceMapper.map_to_all_gpus()
    input_type = NodeDescription(size=NodeDescription.Size.NONE)
    output_type = NodeDescription(size=NodeDescription.Size.ALL, detections=[CLASS], extra_data=["confidence"])
    backend_loader = lambda capsule_files, device: Backend(capsule_files["labels/names.txt"])
    options = {
        "threshold": FloatOption(default=0.5, min_val=0.0, max_val=1.0, description="Least mean brightness."),
        "side": IntOption(default=40, min_val=8, max_val=None, description="Side of a square, in pixels."),
    }
