import uuid

from vcap import BaseBackend, BaseCapsule, BaseStreamState, DeviceMapper, IntOption, NodeDescription


class State(BaseStreamState):
    def __init__(self):
        self.tracks = []  # id, centre, frames missed
        self.frames = 0
        self.made = 0

    def new(self):
        self.made += 1
        return uuid.uuid5(uuid.NAMESPACE_OID, str(self.made))


class Backend(BaseBackend):
    def process_frame(self, frame, detection_node, options, state):
        state.frames += 1
        left = list(state.tracks)
        state.tracks = []
        for n in detection_node:
            x, y = n.bbox.center
            near = [t for t in left if abs(t[1][0] - x) + abs(t[1][1] - y) <= options["reach"]]
            if near:
                best = min(near, key=lambda t: abs(t[1][0] - x) + abs(t[1][1] - y))
                left.remove(best)
                n.track_id = best[0]
            else:
                n.track_id = state.new()
            n.extra_data["age"] = state.frames
            state.tracks.append((n.track_id, (x, y), 0))
        state.tracks += [(i, at, missed + 1) for i, at, missed in left if missed < options["patience"]]
        return detection_node


class Capsule(BaseCapsule):
    name = "tracker_nearest_old"
    version = 1
    device_mapper = DeviceMapper.map_to_single_cpu()
    stream_state = State
    input_type = NodeDescription(size=NodeDescription.Size.ALL, detections=["bright"])
    output_type = NodeDescription(size=NodeDescription.Size.ALL, detections=["bright"], tracked=True, extra_data=["age"])
    backend_loader = lambda capsule_files, device: Backend()
    options = {
        "reach": IntOption(default=60, min_val=1, max_val=1000),
        "patience": IntOption(default=2, min_val=0, max_val=100),
    }
