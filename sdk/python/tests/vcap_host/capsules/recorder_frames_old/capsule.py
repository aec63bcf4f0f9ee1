"""Writes every frame that it is given to a folder."""

import os

import numpy as np
from vcap import BaseBackend, BaseCapsule, BaseStreamState, DetectionNode, DeviceMapper, NodeDescription, TextOption


class State(BaseStreamState):
    frames = 0


class Backend(BaseBackend):
    def process_frame(self, frame, detection_node, options, state):
        state.frames += 1
        np.save(os.path.join(options["folder"], f"{state.frames:04d}.npy"), frame)
        return [DetectionNode(name="recorded", coords=[[0, 0], [1, 1]], extra_data={"shape": frame.shape})]


class Capsule(BaseCapsule):
    name = "recorder_frames_old"
    version = 1
    device_mapper = DeviceMapper.map_to_single_cpu()
    stream_state = State
    input_type = NodeDescription(size=NodeDescription.Size.NONE)
    output_type = NodeDescription(size=NodeDescription.Size.ALL, detections=["recorded"], extra_data=["shape"])
    backend_loader = lambda capsule_files, device: Backend()
    options = {"folder": TextOption(default="/nowhere")}
