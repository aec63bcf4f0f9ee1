from pathlib import Path

import numpy as np
from capstan.testing import Bench, load

hello = load(Path(__file__).with_name("main.py"))


def test_it_finds_the_bright_square():
    image = np.zeros((100, 150), np.uint8)
    image[32:64, 64:96] = 255
    for format in ("GRAY8",):
        [spot] = Bench(hello.BrightSpot).process(image, format=format).added
        assert spot.box == (64, 32, 96, 64) and spot.confidence == 1


def test_a_small_picture_has_none():
    assert Bench(hello.BrightSpot, side=64).process(np.zeros((32, 32), np.uint8)).added == []
