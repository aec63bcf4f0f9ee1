"""python3 direct.py FRAMES: runs three old capsules one after another on frames that
recorder_frames_old wrote, by their own interface and nothing of Capstan's, and prints what they
find, a JSON line a frame."""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "standin"), str(HERE.parent.parent)]

import vcap  # noqa: E402
from capstan.vcap import _user  # noqa: E402


def load(name):
    folder = HERE / "capsules" / name
    return vcap.load_capsule_from_bytes(_user.zipped(str(folder)), source_path=folder)


def main():
    detector, classifier, tracker = (load(n) for n in ("detector_bright_old", "classifier_tone_old", "tracker_nearest_old"))
    states = [c.get_state(1) for c in (detector, classifier, tracker)]
    options = [{k: o.default for k, o in c.options.items()} for c in (detector, classifier, tracker)]
    for path in sorted(Path(sys.argv[1]).glob("*.npy")):
        frame = np.load(path)
        nodes = detector.process_frame(frame.copy(), None, options[0], states[0])
        for n in nodes:
            classifier.process_frame(frame, n, options[1], states[1])
        tracker.process_frame(frame, nodes, options[2], states[2])
        found = [
            {"class_name": n.class_name, "coords": n.coords, "attributes": n.attributes, "extra_data": n.extra_data, "track_id": str(n.track_id)}
            for n in nodes
        ]
        print(json.dumps(found))


main()
