"""Finds the 80 classes of COCO by YOLOX-Nano on cv2.dnn, in two processes."""

import capstan
import cv2
import numpy as np

MODEL = capstan.Model(
    "yolox_nano_416x416.onnx",
    sha256="695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
    url="https://github.com/Kazuhito00/MOT-Tracking-by-Detection-Pipeline/raw/e50a76b/Detector/yolox/model/yolox_nano.onnx",
    licence="Apache-2.0",
    source="Megvii-BaseDetection/YOLOX, from Kazuhito00/MOT-Tracking-by-Detection-Pipeline@e50a76b",
)
SIDE = 416
CLASSES = (
    "person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|stop sign|parking meter|bench|bird|cat|"
    "dog|horse|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|handbag|tie|suitcase|frisbee|skis|snowboard|sports ball|kite|"
    "baseball bat|baseball glove|skateboard|surfboard|tennis racket|bottle|wine glass|cup|fork|knife|spoon|bowl|banana|apple|"
    "sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake|chair|couch|potted plant|bed|dining table|toilet|tv|laptop|mouse|"
    "remote|keyboard|cell phone|microwave|oven|toaster|sink|refrigerator|book|clock|vase|scissors|teddy bear|hair drier|toothbrush"
).split("|")


def cells():
    """Column, row and stride of each of the network's answers."""
    parts = []
    for stride in (8, 16, 32):
        n = SIDE // stride
        rows, columns = np.mgrid[:n, :n]
        parts.append(np.stack([columns, rows, np.full((n, n), stride)], 2).reshape(-1, 3))
    return np.concatenate(parts).astype(np.float32)


@capstan.capsule(
    name="detector_objects_cv2",
    version=1,
    description="Finds the 80 classes of COCO by YOLOX-Nano on OpenCV.",
    output=capstan.finds(*CLASSES, extra_data=["confidence"]),
    formats=["BGR"],
    picture=capstan.Picture(max_side=SIDE, filter="linear"),
    models=[MODEL],
    needs=capstan.Needs(files=["${model}"]),
    on_demand=True,
    workers=2,
)
class Objects:
    threshold = capstan.option(0.4, "Least confidence of an object.", min=0.01, max=1)
    iou = capstan.option(0.45, "Two finds of a class that overlap more than this are one object.", min=0, max=1)
    model = capstan.option("", "Path of the model file; empty: the capsule's own, from CAPSTAN_MODELS, beside the program or the cache.")

    def open(self, log):
        cv2.setNumThreads(1)  # the workers share the processors
        path = capstan.model(MODEL, self.model)
        self.net = cv2.dnn.readNetFromONNX(path)
        self.cells = cells()
        log.info("loaded", model=path)

    def process(self, frame):
        image = frame.bgr()
        ratio = SIDE / max(image.shape[:2])
        w, h = min(SIDE, round(image.shape[1] * ratio)), min(SIDE, round(image.shape[0] * ratio))
        canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
        canvas[:h, :w] = cv2.resize(image, (w, h)) if ratio != 1 else image[:h, :w]
        self.net.setInput(canvas.transpose(2, 0, 1)[None].astype(np.float32))
        out = self.net.forward()[0]
        stride = self.cells[:, 2:]
        middle, size = (out[:, :2] + self.cells[:, :2]) * stride, np.exp(out[:, 2:4]) * stride
        scores = out[:, 4:5] * out[:, 5:]
        best, top = scores.argmax(1), scores.max(1)
        sure = np.flatnonzero(top >= self.threshold)
        boxes = np.concatenate([middle - size / 2, size], 1)[sure] / ratio
        # Objects of different classes do not compete: each class has a place of its own.
        apart = boxes + np.pad(best[sure, None] * 4096.0, ((0, 0), (0, 3)))
        for i in np.reshape(cv2.dnn.NMSBoxes(apart.tolist(), top[sure].tolist(), self.threshold, self.iou), -1):
            x, y, w, h = boxes[i].tolist()
            frame.add(CLASSES[best[sure[i]]], (x, y, x + w, y + h), confidence=float(top[sure[i]]))


if __name__ == "__main__":
    capstan.main()
