"""Everything that import has to say something about."""

import pickle
import subprocess
import time

import kafka
from vcap import BaseBackend, BaseCapsule, BaseStreamState, DeviceMapper, NodeDescription

try:
    import no_such_accelerator
except ImportError:
    no_such_accelerator = None


class State(BaseStreamState):
    def __init__(self):
        self.began = time.time()
        self.known = pickle.dumps(None)


class Backend(BaseBackend):
    def process_frame(self, frame, detection_node, options, state):
        kafka.KafkaProducer(bootstrap_servers="kafka.example.com")
        subprocess.run(["true"], check=True)
        with open("/home/anna/known.pickle", "rb") as f:
            f.read()
        with open("labels.txt") as f:
            f.read()
        return []


class Capsule(BaseCapsule):
    name = "cannot_old"
    version = 1
    stream_state = State
    device_mapper = DeviceMapper.map_to_all_gpus(cpu_fallback=False)
    input_type = NodeDescription(size=NodeDescription.Size.NONE)
    output_type = NodeDescription(size=NodeDescription.Size.ALL, detections=["x"], attributes={"empty": []})
    backend_loader = lambda capsule_files, device: Backend()
