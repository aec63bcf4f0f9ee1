from pathlib import Path

import pytest
from capstan.testing import Bench, load

pytest.importorskip("cv2", reason="SKIPPED: there is no cv2 (apt install python3-opencv)")
faces = load(Path(__file__).with_name("main.py"))


@pytest.fixture(autouse=True)
def cascade():
    try:
        faces.cascade("haarcascade_frontalface_default.xml")
    except faces.capstan.CapsuleError as e:
        pytest.skip(f"SKIPPED: {e}")


@pytest.mark.parametrize("name, count", [("obama.jpg", 1), ("biden2.jpg", 1), ("astronaut.png", 1), ("two_people.jpg", 2)])
def test_portraits(rgb, name, count):
    image = rgb("faces/" + name, 640)
    found = Bench(faces.FaceCascade, neighbours=8, smallest=0.1).process(image).added
    assert len(found) == count, found
    for f in found:
        assert 0 <= f.confidence <= 1 and 0 <= f.box.x1 and f.box.x2 <= image.shape[1] and abs(f.box.width - f.box.height) < 2
    if count == 2:
        left, right = sorted(f.box.center[0] for f in found)
        assert left < image.shape[1] / 2 < right


@pytest.mark.parametrize("name", ["rocket.jpg", "coffee.png"])
def test_no_faces(rgb, name):
    assert Bench(faces.FaceCascade, neighbours=8, smallest=0.1).process(rgb("noface/" + name, 640)).added == []
