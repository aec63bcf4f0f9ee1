from vcap import BaseBackend, BaseCapsule, DetectionNode, NodeDescription


class Backend(BaseBackend):
    def process_frame(self, frame, detection_node, options, state):
        if detection_node.bbox.x1 == 0:
            raise ZeroDivisionError("nothing at the left edge")
        if detection_node.bbox.y1 == 0:
            return [detection_node]  # which a capsule that gives SINGLE may not
        if detection_node.bbox.y1 == 1:
            return DetectionNode(name="bright", coords=detection_node.coords, attributes={"seen": "yes"})
        detection_node.attributes["seen"] = "yes"
        return detection_node


class Capsule(BaseCapsule):
    name = "raises_old"
    version = 1
    input_type = NodeDescription(size=NodeDescription.Size.SINGLE, detections=["bright"])
    output_type = NodeDescription(size=NodeDescription.Size.SINGLE, detections=["bright"], attributes={"seen": ["yes"]})
    backend_loader = lambda capsule_files, device: Backend()
