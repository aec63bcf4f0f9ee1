import hashlib
import json
import zipfile

import numpy as np
import pytest

import capstan
from capstan import CapsuleError, each, finds, option
from capstan.testing import golden


@capstan.capsule(name="bright", version=1, output=finds("spot", extra_data=["confidence"]), formats=["GRAY8"])
class Bright:
    level = option(200, "Least brightness.")

    def process(self, frame):
        ys, xs = np.nonzero(frame.gray() >= self.level)
        if len(ys):
            frame.add("spot", (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), confidence=frame.gray().max() / 255)


@capstan.capsule(name="marks", version=1, input=each("spot"), output=each("spot", attributes={"side": ["left", "right"]}), stateful=True)
class Marks:
    def process(self, frame, node):
        node.set("side", "left" if node.box.x1 < 48 else "right")
        node.encoding = [1, frame.pts]
        node.track = "00000000-0000-4000-8000-00000000000" + str(frame.seq % 3)


def make(path, name, frames, **options):
    caps = {"format": "I420", "width": 96, "height": 64, "rate_n": 25, "rate_d": 1, "matrix": "bt601", "full_range": False}
    header = {
        "format": "capstan-bundle", "version": 1, "created": "2026-11-20T10:00:00Z", "capstan": "v0.4.0", "contract": "1.0", "source": "x.mp4", "stream": "run", "media": "none",
        "live": False, "caps": caps, "plan": {}, "capsules": [{"name": name, "version": "1", "manifest": "", "options": options, "pictures": True}],
    }  # fmt: skip
    members = {"bundle.json": json.dumps(header).encode()}
    lines = []
    for seq, (image, nodes) in enumerate(frames, 1):
        call = {"capsule": name, "nodes": nodes, "returns": []}
        if image is not None:
            file = f"pictures/{name}/{seq:08d}.raw"
            members[file] = image.tobytes()
            call["picture"] = {"file": file, "format": "GRAY8", "width": image.shape[1], "height": image.shape[0], "matrix": "bt601", "full_range": False}
        lines.append(json.dumps({"seq": seq, "pts_ns": seq * 40000000, "captured": "2026-11-20T10:00:00.333Z", "caps": caps, "calls": [call], "detections": []}))
    members["records/000001.jsonl"] = "\n".join(lines).encode()
    index = {"status": "done", "frames": len(frames), "members": {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members.items()}}
    with zipfile.ZipFile(path, "w") as z:
        for n, d in members.items():
            z.writestr(n, d)
        z.writestr("index.json", json.dumps(index))


def images():
    for x in (10, 20, 30):
        image = np.zeros((32, 48), np.uint8)
        image[8:12, x : x + 4] = 250
        yield image, []


@pytest.fixture
def written(tmp_path, monkeypatch):
    path = str(tmp_path / "b.bundle")
    make(path, "bright", list(images()), level=100)
    monkeypatch.setenv("CAPSTAN_GOLDEN", "write")
    golden(Bright, path)
    monkeypatch.delenv("CAPSTAN_GOLDEN")
    return path


def test_what_was_written_is_the_same(written):
    golden(Bright, written)
    with zipfile.ZipFile(written) as z:
        header, record = json.loads(z.read("bundle.json")), json.loads(z.read("records/000001.jsonl").splitlines()[1])
        assert all(i.flag_bits & 8 == 0 for i in z.infolist())  # no data descriptors
    assert header["capsules"][0]["options"] == {"level": 100} and header["capsules"][0]["manifest"].startswith("name: bright")
    assert record["calls"][0]["returns"][0]["added"][0]["coords"] == [[40, 16], [48, 16], [48, 24], [40, 24]]  # of the stream's 96x64


def test_changes_are_told(written, tmp_path):
    class Other:
        def process(self, frame):
            if frame.seq == 1:
                frame.add("spot", (10, 8, 14, 12), confidence=0.5)
            if frame.seq == 2:
                frame.add("spot", (21, 8, 25, 12), confidence=250 / 255)
                frame.add("spot", (0, 0, 1, 1), confidence=1)

    other = capstan.capsule(name="bright", version=1, output=finds("spot", extra_data=["confidence"]), formats=["GRAY8"])(Other)
    with pytest.raises(AssertionError) as e:
        golden(other, written)
    words = str(e.value)
    for want in (
        "frame 1: spot (20, 16, 28, 24): confidence is 0.5, recorded: 0.98",
        "frame 2: spot (40, 16, 48, 24) moved to spot (42, 16, 50, 24)",
        "frame 2: spot (0, 0, 2, 2) appeared",
        "frame 3: spot (60, 16, 68, 24) vanished",
        "CAPSTAN_GOLDEN=write",
    ):
        assert want in words
    assert words.count("\n") == 5
    with pytest.raises(AssertionError) as e:
        golden(other, written, px=2, value=0.6)
    assert str(e.value).count("\n") == 3


def test_patches(tmp_path, monkeypatch):
    path = str(tmp_path / "b.bundle")
    node = {"id": 7, "class_name": "spot", "coords": [[60, 0], [70, 0], [70, 9]], "attributes": {}, "extra_data": {"k": None}, "children": [], "track_id": "", "encoding": [0.5]}
    make(path, "marks", [(None, [node, {**node, "id": 8}])] * 3)
    monkeypatch.setenv("CAPSTAN_GOLDEN", "write")
    golden(Marks, path)
    monkeypatch.delenv("CAPSTAN_GOLDEN")
    golden(Marks, path)

    class Other(Marks):
        def process(self, frame, node):
            super().process(frame, node)
            node.track = "11111111-0000-4000-8000-00000000000" + str(frame.seq % 3)  # other names for the same
            if frame.seq == 2:
                node.set("side", "left")
                node.encoding = [1, 0]

    c = capstan.capsule(name="marks", version=1, input=each("spot"), output=Marks.__capsule__.output, stateful=True)(Other)
    with pytest.raises(AssertionError) as e:
        golden(c, path, encoding=1e-6)
    words = str(e.value)
    assert words.count("\n") == 5 and 'frame 2: node 7: side is "left", recorded: "right"' in words and "frame 2: node 8: the encoding is another one" in words


def test_failures_are_told(written):
    def fails():
        raise ValueError("not today")

    with pytest.raises(AssertionError, match="frame 1: it failed: .*ValueError: not today"):
        golden(capstan.capsule(name="bright", version=1, output=finds("spot"), formats=["GRAY8"])(fails), written)


def test_bundles_that_cannot_be(tmp_path, written):
    numbers = iter(range(100))

    def other(**fields):
        path = str(tmp_path / f"{next(numbers)}.bundle")
        with zipfile.ZipFile(written) as z, zipfile.ZipFile(path, "w") as out:
            for name in z.namelist():
                out.writestr(name, fields.get(name.split("/")[0].replace(".", "_"), z.read(name)))
        return path

    (tmp_path / "noise").write_bytes(b"noise")
    for path, words in (
        (str(tmp_path / "nobody"), "nobody"),
        (str(tmp_path / "noise"), "not a zip"),
        (other(bundle_json=b"{}"), "this package reads"),
        (other(bundle_json=b"["), "bundle.json"),
        (other(pictures=b"short"), "is not what the index says"),
        (other(index_json=b"{}"), "records"),
    ):
        with pytest.raises(CapsuleError, match=words):
            golden(Bright, path)
    with pytest.raises(CapsuleError, match="it is not in .*--for marks"):
        golden(Marks, written)
    with pytest.raises(CapsuleError, match='no option "nope"'):
        golden(Bright, written, nope=1)
