import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "sdk" / "python"))


@pytest.fixture
def data():
    """The folder with test data; without it the test is skipped, loudly."""
    folder = Path(os.environ.get("CAPSTAN_TESTDATA") or ROOT / ".." / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"SKIPPED: there is no test data in {folder}; name its folder in CAPSTAN_TESTDATA")
    return folder


@pytest.fixture
def rgb(data):
    """Reads a picture of the test data as RGB, scaled down so that its longer side is at most side."""
    cv2 = pytest.importorskip("cv2", reason="SKIPPED: there is no cv2 (apt install python3-opencv)")

    def read(name, side):
        image = cv2.imread(str(data / "images" / name))
        assert image is not None, f"{name} is not in {data}"
        scale = min(1.0, side / max(image.shape[:2]))
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        return cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)

    return read
