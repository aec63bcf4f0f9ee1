import numpy as np
from vcap import BaseBackend, BaseCapsule, FloatOption, NodeDescription


def euclidean(x, many):
    return np.linalg.norm(many - x, axis=1)


class Backend(BaseBackend):
    def process_frame(self, frame, detection_node, options, state):
        x1, y1, x2, y2 = detection_node.bbox.rect
        detection_node.encoding = frame[y1:y2, x1:x2].reshape(-1, 3).mean(0)
        return detection_node

    def distances(self, encoding, encodings):
        return euclidean(encoding, encodings)


class Capsule(BaseCapsule):
    name = "encoder_mean_old"
    version = 2
    input_type = NodeDescription(size=NodeDescription.Size.SINGLE, detections=["bright"])
    output_type = NodeDescription(size=NodeDescription.Size.SINGLE, detections=["bright"], encoded=True)
    backend_loader = lambda capsule_files, device: Backend()
    options = {"recognition_threshold": FloatOption(default=20.0, min_val=0.0, max_val=None, description="Distance of two of a kind.")}
