from pathlib import Path

import pytest
from capstan.testing import Bench, load

pytest.importorskip("cv2", reason="SKIPPED: there is no cv2 (apt install python3-opencv)")
objects = load(Path(__file__).with_name("main.py"))


@pytest.fixture
def bench(data):
    path = data / "models" / "object_detection" / objects.MODEL.file
    if not path.is_file():
        pytest.skip(f"SKIPPED: there is no {path}")
    return Bench(objects.Objects, model=str(path))


def counts(found):
    return {name: sum(n.class_name == name for n in found) for name in {n.class_name for n in found}}


# What detector_objects_yolox finds by ONNX Runtime.
@pytest.mark.parametrize("name, least", [("objects/coco_bus.jpg", {"bus": 1, "person": 2}), ("objects/coco_four_people.jpg", {"person": 4}), ("objects/motorcycle_left.png", {"motorcycle": 1})])
def test_pictures(bench, rgb, name, least):
    image = rgb(name, 416)
    found = bench.process(image).added
    got = counts(found)
    assert all(got.get(c, 0) >= n for c, n in least.items()), got
    for n in found:
        assert 0.4 <= n.confidence <= 1 and n.box.area > 0
    if "bus" in least:
        bus = max((n for n in found if n.class_name == "bus"), key=lambda n: n.box.area).box
        assert bus.width > 0.5 * image.shape[1]


def test_nothing_on_gray(bench):
    import numpy as np

    assert bench.process(np.full((416, 416), 114, np.uint8)).added == []


def test_a_model_that_is_not_there():
    with pytest.raises(objects.capstan.CapsuleError, match="nowhere.onnx is not there"):
        Bench(objects.Objects, model="/nowhere.onnx").process()
