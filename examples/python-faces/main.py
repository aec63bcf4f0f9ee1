"""Finds faces by OpenCV's cascade: a capsule that brings nothing along but Debian's packages."""

import os

import capstan
import cv2

FOLDERS = ("/usr/share/opencv4/haarcascades", "/usr/local/share/opencv4/haarcascades")


def cascade(name: str) -> str:
    """The path of a cascade of opencv-data, or of the opencv-python wheel."""
    data = getattr(cv2, "data", None)
    for folder in (*FOLDERS, getattr(data, "haarcascades", "")):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    raise capstan.CapsuleError(f"{name} is not there (apt install opencv-data)")


@capstan.capsule(
    name="detector_face_cascade",
    version=1,
    description="Finds frontal faces by OpenCV's Haar cascade.",
    output=capstan.finds("face", extra_data=["confidence"]),
    formats=["GRAY8"],
    picture=capstan.Picture(max_side=640),
)
class FaceCascade:
    scale = capstan.option(1.1, "Step between two sizes of face that are looked for.", min=1.01, max=2)
    neighbours = capstan.option(5, "Finds that have to agree on a face.", min=1, max=50)
    smallest = capstan.option(0.04, "Least side of a face, as a share of the picture's shorter side.", min=0.01, max=1)

    def open(self):
        cv2.setNumThreads(1)
        self.classifier = cv2.CascadeClassifier(cascade("haarcascade_frontalface_default.xml"))

    def process(self, frame):
        gray = cv2.equalizeHist(frame.gray())
        least = max(16, round(self.smallest * min(gray.shape)))
        boxes, _, weights = self.classifier.detectMultiScale3(
            gray, self.scale, self.neighbours, minSize=(least, least), outputRejectLevels=True
        )
        for (x, y, w, h), weight in zip(boxes, weights):
            # The cascade weighs a find from 0 on; 5 and more is as sure as it gets.
            frame.add("face", (x, y, x + w, y + h), confidence=max(0.0, min(1.0, float(weight) / 5)))


if __name__ == "__main__":
    capstan.main()
