"""Does all that cannot be passed on, and some that can."""

import numpy as np
from vcap import BaseBackend, BaseCapsule, DetectionNode, NodeDescription


class Backend(BaseBackend):
    def process_frame(self, frame, detection_node, options, state):
        first = detection_node[0] if detection_node else None
        for n in detection_node:
            n.class_name = "renamed"
            n.coords[0][0] += 1
            n.extra_data.pop("confidence", None)
            n.extra_data["inf"] = float("inf")
            n.extra_data["numbers"] = np.arange(3)
            n.extra_data["nested"] = {"a": (1, np.float32(2.5))}
            n.track_id = 7
            n.attributes["flag"] = True
            n.children.append(DetectionNode(name="part", coords=[[0, 0], [1, 1]]))
        new = DetectionNode(name="group", coords=[[0, 0], [9, 0], [9, 9], [0, 9]], extra_data={"count": len(detection_node)})
        new.children = [DetectionNode(name="part", coords=[[1, 1], [2, 2]], attributes={"flag": "True"})]
        return [new, new] + ([first] if first else [])


class Capsule(BaseCapsule):
    name = "odd_ways_old"
    version = 1
    input_type = NodeDescription(size=NodeDescription.Size.ALL, detections=["bright"])
    output_type = NodeDescription(size=NodeDescription.Size.ALL, detections=["bright", "group"])
    backend_loader = lambda capsule_files, device: Backend()
