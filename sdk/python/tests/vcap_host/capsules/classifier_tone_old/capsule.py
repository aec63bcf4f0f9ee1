"""Says of every bright square which colour leads, by its batch executor."""

from vcap import BaseBackend, BaseCapsule, DeviceMapper, NodeDescription

TONES = ["blue", "green", "red"]


class Backend(BaseBackend):
    batches = []

    def process_frame(self, frame, detection_node, options, state):
        x1, y1, x2, y2 = detection_node.bbox.rect
        tone, share = self.send_to_batch(frame[y1:y2, x1:x2]).result()
        detection_node.attributes["tone"] = tone
        detection_node.extra_data["tone_confidence"] = share

    def batch_predict(self, crops):
        self.batches.append(len(crops))
        for crop in crops:
            sums = crop.reshape(-1, 3).sum(0).tolist()
            yield TONES[sums.index(max(sums))], max(sums) / max(1, sum(sums))


class Capsule(BaseCapsule):
    name = "classifier_tone_old"
    version = 1
    device_mapper = DeviceMapper.map_to_single_cpu()
    input_type = NodeDescription(size=NodeDescription.Size.SINGLE, detections=["bright"])
    output_type = NodeDescription(
        size=NodeDescription.Size.SINGLE, detections=["bright"], attributes={"tone": TONES}, extra_data=["tone_confidence"]
    )
    backend_loader = lambda capsule_files, device: Backend()
