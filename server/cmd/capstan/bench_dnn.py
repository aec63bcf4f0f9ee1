"""The usual way in Python: cv2.VideoCapture, cv2.dnn, one frame after the other.

Takes the settings as JSON in its argument, plays the clip with a YOLOX network and prints what
it found as JSON. The clock runs from the opening of the clip to the last box; imports, the
loading of the network and one warm-up run come before.
"""
import json
import sys
import time

import cv2
import numpy as np

settings = json.loads(sys.argv[1])
side, threshold, overlap = settings["size"], settings["threshold"], settings["iou"]

network = cv2.dnn.readNetFromONNX(settings["model"])
network.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
network.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)

cells = [(side // s, s) for s in (8, 16, 32)]
places = np.concatenate([np.stack(np.meshgrid(np.arange(n), np.arange(n)), 2).reshape(-1, 2) for n, _ in cells])
strides = np.concatenate([np.full((n * n, 1), s) for n, s in cells])


def find(frame):
    height, width = frame.shape[:2]
    ratio = min(side / height, side / width)
    padded = np.full((side, side, 3), 114, np.uint8)
    small = cv2.resize(frame, (int(round(width * ratio)), int(round(height * ratio))), interpolation=cv2.INTER_LINEAR)
    padded[:small.shape[0], :small.shape[1]] = small
    network.setInput(cv2.dnn.blobFromImage(padded))
    rows = network.forward()[0]
    scores = rows[:, 4:5] * rows[:, 5:]
    classes = scores.argmax(1)
    best = scores[np.arange(len(rows)), classes]
    keep = best >= threshold
    rows, classes, best = rows[keep], classes[keep], best[keep]
    middle = (rows[:, :2] + places[keep]) * strides[keep] / ratio
    size = np.exp(rows[:, 2:4]) * strides[keep] / ratio
    boxes = np.concatenate([middle - size / 2, size], 1)
    found = []
    for c in np.unique(classes):
        of = np.flatnonzero(classes == c)
        for i in np.array(cv2.dnn.NMSBoxes(boxes[of].tolist(), best[of].tolist(), threshold, overlap)).flatten():
            x, y, w, h = boxes[of[i]]
            found.append([int(c), float(max(0, x)), float(max(0, y)), float(min(width, x + w)), float(min(height, y + h)), float(best[of[i]])])
    return found


find(np.zeros((side, side, 3), np.uint8))
began, cpu = time.monotonic(), time.process_time()
clip = cv2.VideoCapture(settings["clip"])
frames = []
while True:
    ok, frame = clip.read()
    if not ok:
        break
    frames.append(find(frame))
json.dump({
    "opencv": cv2.__version__, "seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu,
    "threads": cv2.getNumThreads(), "frames": frames,
}, sys.stdout)
