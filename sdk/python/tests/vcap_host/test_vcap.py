"""Capsules for OpenVisionCapsules, run by capstan.vcap, against direct calls of the same code."""

import json
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from capstan import CapsuleError, Node, rect
from capstan.testing import Bench
from capstan.vcap import _declare, _nodes, _scan, _user, program
from capstan.vcap.__main__ import answer

HERE = Path(__file__).resolve().parent
CAPSULES = HERE / "capsules"


def folder(name):
    return str(CAPSULES / name)


def asked(name, mode="load", **more):
    return answer({"folder": folder(name), "mode": mode, "metric": "", "needs": {}, **more})


def imported(tmp_path, name, source=None):
    """The class of main.py of an imported capsule."""
    a = answer({"folder": str(source or folder(name)), "mode": "declare", "metric": "", "needs": {}})
    assert "error" not in a, a
    to = tmp_path / name
    to.mkdir()
    shutil.copytree(source or folder(name), to / "original", ignore=shutil.ignore_patterns("__pycache__"))
    (to / "vcap.json").write_text(json.dumps(a["declaration"]))
    (to / "capsule.yaml").write_text(a["manifest"])
    (to / "main.py").write_text("import capstan.vcap\ncapstan.vcap.main(__file__)\n")
    return program(str(to / "main.py"))


@pytest.fixture
def bench(tmp_path):
    """Makes benches of old capsules and unloads them at the end."""
    made = []

    def make(name, source=None, **options):
        b = Bench(imported(tmp_path, name, source), **options)
        made.append(b)
        return b

    yield make
    for b in made:
        b.close()


def direct(vcap, name):
    """The capsule as its own interface loads it."""
    return vcap.load_capsule_from_bytes(data=_user.zipped(folder(name)), source_path=Path(folder(name)))


def picture(seed=1, size=(120, 160)):
    """RGB with squares of 40 whose brightness differs."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 256, (size[0] // 40, size[1] // 40, 3), np.uint8)
    return np.kron(tiles, np.ones((40, 40, 1), np.uint8))


def bright(x, y, **more):
    return Node("bright", rect(x, y, x + 40, y + 40), confidence=0.5, **more)


def returns(b, image, nodes):
    """The raw returns of one frame, faults included."""
    m = b._message(image, "", None, 0)
    b.runtime.open_stream("test", b.options)
    m.call, m.stream, m.seq = 1, 1, 1
    for i, n in enumerate(nodes):
        n._write_new(m.nodes.add(id=i + 1), None)
    r = b.runtime.request(type(m).FromString(m.SerializeToString()), "test", m.pixels, 0)
    b.runtime.run([r])
    return r.out.answer.returns


# Each of them does what a direct call does.


def test_detector_is_a_direct_call(vcap, bench):
    image = picture()
    c = direct(vcap, "detector_bright_old")
    want = c.process_frame(image[..., ::-1].copy(), None, {"threshold": 0.4, "side": 40}, c.get_state(1))
    c.close()
    assert len(want) >= 3
    got = bench("detector_bright_old", threshold=0.4).process(image).added
    assert [(n.class_name, [list(p) for p in n.coords], n.extra["confidence"]) for n in got] == [
        (n.class_name, n.coords, n.extra_data["confidence"]) for n in want
    ]


def test_detector_finds_what_is_there(standin, bench):
    image = np.zeros((80, 120, 3), np.uint8)
    image[40:80, 80:120] = 255, 0, 0  # red, which weighs 0.299
    b = bench("detector_bright_old", threshold=0.25)
    [n] = b.process(image).added
    assert n.box == (80, 40, 120, 80) and n.confidence == pytest.approx(0.299)
    assert b.process(np.zeros((80, 120, 3), np.uint8)).added == []
    # It draws on its frame, which is its own: the next one finds the same.
    assert len(b.process(image).added) == 1


def test_classifier_is_a_direct_call(vcap, bench):
    image = picture(2)
    nodes = [bright(x, y) for y in (0, 40, 80) for x in (0, 40, 80, 120)]
    c = direct(vcap, "classifier_tone_old")
    want = []
    for n in nodes:
        t = vcap.DetectionNode(name="bright", coords=[[int(x), int(y)] for x, y in n.coords])
        assert c.process_frame(image[..., ::-1], t, {}, c.get_state(1)) is None
        want.append((t.attributes["tone"], t.extra_data["tone_confidence"]))
    c.close()
    r = bench("classifier_tone_old").process(image, nodes)
    assert [(n.attributes["tone"], n.extra["tone_confidence"]) for n in r.nodes] == want
    assert r.added == [] and len({tone for tone, _ in want}) > 1


def test_nodes_of_a_frame_meet_in_the_batch_executor(vcap, bench, tmp_path):
    source = tmp_path / "slow"
    shutil.copytree(folder("classifier_tone_old"), source)
    code = source / "capsule.py"
    code.write_text(code.read_text().replace("        self.batches.append", "        __import__('time').sleep(0.05)\n        self.batches.append"))
    b = bench("classifier_tone_old", source)
    b.process(picture(2), [bright(x, y) for y in (0, 40, 80) for x in (0, 40, 80, 120)])
    batches = type(b.runtime.capsule.code.host.capsule.backends[0]).batches
    assert sum(batches) == 12 and len(batches) < 12


def test_encoder_is_a_direct_call(vcap, bench):
    image = picture(3)
    c = direct(vcap, "encoder_mean_old")
    t = vcap.DetectionNode(name="bright", coords=[[40, 40], [80, 40], [80, 80], [40, 80]])
    want = c.process_frame(image[..., ::-1], t, {"recognition_threshold": 20.0}, c.get_state(1)).encoding
    c.close()
    b = bench("encoder_mean_old")
    r = b.process(image, [bright(40, 40)])
    assert r.nodes[0].encoding.dtype == np.float32 and r.nodes[0].encoding.tolist() == want.astype(np.float32).tolist() and not r.added
    assert b.capsule.metric == "euclidean"


def test_tracker_is_a_direct_call_and_keeps_its_state_for_each_stream(vcap, bench):
    def frames(offset):  # one goes right, one comes later, one leaves
        for i in range(6):
            at = [(offset + 10 * i, 0)] + ([(100, 60)] if i > 2 else []) + ([(0, 80)] if i < 2 else [])
            yield [(x, y) for x, y in at]

    c = direct(vcap, "tracker_nearest_old")
    options = {"reach": 60, "patience": 2}
    want = {}
    for stream, offset in ("a", 0), ("b", 5):
        state = c.get_state(ord(stream))
        want[stream] = []
        for at in frames(offset):
            nodes = [vcap.DetectionNode(name="bright", coords=[[x, y], [x + 40, y], [x + 40, y + 40], [x, y + 40]]) for x, y in at]
            c.process_frame(np.zeros((9, 9, 3), np.uint8), nodes, options, state)
            want[stream].append([(str(n.track_id), n.extra_data["age"]) for n in nodes])
    c.close()
    b = bench("tracker_nearest_old")
    assert b.capsule.stateful and not b.capsule.batch
    got = {"a": [], "b": []}
    for pair in zip(frames(0), frames(5)):  # interleaved
        for stream, at in zip("ab", pair):
            r = b.process(np.zeros((120, 160, 3), np.uint8), [bright(x, y) for x, y in at], stream=stream)
            got[stream].append([(n.track, n.extra["age"]) for n in r.nodes])
    assert got == want
    assert b.process(np.zeros((120, 160, 3), np.uint8), [], stream="a").nodes == []  # called with none, it ages
    b.runtime.close_stream("a")
    r = b.process(np.zeros((120, 160, 3), np.uint8), [bright(0, 0)], stream="a")
    assert r.nodes[0].extra["age"] == 1  # the state went with the stream


def test_memory_of_frames_is_used_again_when_nobody_has_it():
    from capstan.vcap._host import Buffers

    b = Buffers()
    kept = b.copy(np.full((4, 6, 3), 1, np.uint8))
    part = b.copy(np.full((4, 6, 3), 2, np.uint8))[1:2]
    third = b.copy(np.full((4, 6, 3), 3, np.uint8))
    at = third.ctypes.data
    del third
    again = b.copy(np.full((4, 6, 3), 4, np.uint8))
    assert again.ctypes.data == at and (again == 4).all()
    assert (kept == 1).all() and (part == 2).all()  # a capsule may keep frames, and parts of them
    other = b.copy(np.full((2, 2, 3), 5, np.uint8))
    assert other.shape == (2, 2, 3) and (kept == 1).all() and (again == 4).all()
    for _ in range(3 * Buffers.MOST):
        b.copy(np.zeros((2, 2, 3), np.uint8))
    for side in range(1, 3 * Buffers.SIZES):
        b.copy(np.zeros((side, 9, 3), np.uint8))
    held = [b.copy(np.zeros((2, 9, 3), np.uint8)) for _ in range(2 * Buffers.MOST)]
    assert len({h.ctypes.data for h in held}) == len(held)
    assert len(b._all) <= Buffers.SIZES and len(b._all[2, 9, 3]) == Buffers.MOST


# What crosses, and what cannot.


def test_what_cannot_be_passed_on_is_said_once(vcap, bench, caplog):
    b = bench("odd_ways_old")
    r = None
    for _ in range(3):
        r = b.process(picture(), [bright(0, 0), bright(40, 0)])
    for n in r.nodes:
        assert n.class_name == "bright" and n.box.x1 in (0, 40) and not n.children
        assert dict(n.extra) == {"confidence": 0.5, "inf": None, "numbers": [0, 1, 2], "nested": {"a": [1, 2.5]}}
        assert n.attributes["flag"] == "True"
    assert r.nodes[0].track == r.nodes[1].track and uuid.UUID(r.nodes[0].track)
    [group] = r.added  # it stood in the list twice
    assert group.class_name == "group" and group.extra["count"] == 2
    [part] = group.children
    assert part.class_name == "part" and part.box == (1, 1, 2, 2) and part.attributes["flag"] == "True"
    words = [m for m in caplog.messages if m.startswith("the capsule ")]
    assert len(words) == len(set(words)) == 5, words
    for expected in "outline", "away from", "not finite", "no UUIDs", "no text":
        assert any(expected in w for w in words), (expected, words)


def test_options_of_each_kind(standin, bench):
    code = bench("options_all_old", share=1, how="well", loud=False, words_of="x", api_key="topsecret")
    kinds = {o.name: o.type for o in code.capsule.options}
    assert kinds == {"share": "float", "left": "int", "how": "enum", "loud": "bool", "words_of": "str", "api_key": "secret"}
    image = np.zeros((4, 4, 3), np.uint8)
    for left in 99, 98, 97:  # one dict for all frames of a stream: it counts in it
        [n] = code.process(image).added
        assert n.extra["seen"] == {
            "share": ["float", 1.0], "left": ["int", left], "how": ["str", "well"], "loud": ["bool", False], "words-of": ["str", "x"],
        }  # fmt: skip
        assert n.extra["key"] == 9
    [n] = code.process(image, stream="other").added
    assert n.extra["seen"]["left"] == ["int", 99]
    code.runtime.open_stream("test", {**code.options, "share": 3.5})  # new settings keep the stream
    [n] = code.process(image).added
    assert n.extra["seen"]["share"] == ["float", 3.5] and n.extra["seen"]["left"] == ["int", 99]
    with pytest.raises(CapsuleError, match="not within"):
        bench("encoder_mean_old", recognition_threshold=-1)


def test_one_node_that_fails_fails_alone(vcap, bench):
    nodes = [bright(0, 40), bright(40, 40), bright(40, 0), bright(40, 1), bright(80, 80)]
    out = returns(bench("raises_old"), picture(), nodes)
    assert [r.HasField("fault") for r in out] == [True, False, True, False, False]
    assert "ZeroDivisionError: nothing at the left edge" in out[0].fault.message
    assert "returned a list, and a capsule that takes SINGLE and gives SINGLE returns one node" in out[2].fault.message
    assert out[1].patches[0].attributes[0].value == "yes" and not out[1].added
    assert not out[3].patches and out[3].added[0].attributes[0].name == "seen"  # a new node leaves the given one
    assert out[4].patches[0].node == 5


@pytest.mark.parametrize(
    "needs, gives, returned, good",
    [
        ("none", "all", "list", True), ("none", "all", "empty", True), ("none", "all", "none", False), ("none", "all", "node", False),
        ("none", "single", "node", True), ("none", "single", "none", False), ("none", "single", "list", False),
        ("single", "single", "node", True), ("single", "single", "none", True), ("single", "single", "list", False),
        ("single", "all", "list", True), ("single", "all", "none", False), ("single", "all", "node", False),
        ("all", "all", "list", True), ("all", "all", "none", True), ("all", "all", "empty", True), ("all", "all", "node", False),
        ("all", "single", "node", True), ("all", "single", "none", False), ("all", "single", "list", False),
        ("all", "all", "junk", False), ("all", "all", "text", False), ("single", "single", "number", False), ("all", "all", "tuple", True),
    ],
)  # fmt: skip
def test_return_contract(standin, needs, gives, returned, good):
    given = [] if needs == "none" else [_nodes.Given(standin, bright(0, 0))]
    new = standin.DetectionNode(name="x", coords=[[0, 0]])
    value = {"list": [new], "empty": [], "none": None, "node": new, "junk": [new, 3], "text": "bright", "number": 3, "tuple": (new,)}[returned]
    if not good:
        with pytest.raises(CapsuleError, match="process_frame returned"):
            _nodes.effective(standin, needs, gives, given, value)
        return
    got = _nodes.effective(standin, needs, gives, given, value)
    assert got == {"empty": [], "none": [g.theirs for g in given]}.get(returned, [new])


def test_nodes_there_and_back(vcap):
    track = uuid.uuid4()
    n = Node("car", [(0.5, 1.5), (2.5, 3.49)], attributes={"a": "b"}, extra={"k": [1, None]}, encoding=[1, 2], track=track, children=[Node("wheel", (1, 1, 2, 2))])
    t = _nodes.theirs(vcap, n)
    assert t.coords == [[0, 2], [2, 3]]  # whole pixels, half to even
    assert (t.class_name, t.attributes, t.extra_data, t.track_id) == ("car", {"a": "b"}, {"k": [1, None]}, track)
    assert t.encoding.tolist() == [1, 2] and t.encoding.flags.writeable
    assert t.children[0].class_name == "wheel" and t.bbox.rect == (0, 2, 2, 3)
    assert _nodes.theirs(vcap, Node("car")).bbox.rect == (0, 0, 0, 0)
    said = []
    back = _nodes.ours(t, _nodes.Tracks("s"), said.append)
    assert (back.class_name, back.coords, dict(back.attributes), dict(back.extra), back.track) == ("car", [(0, 2), (2, 3)], {"a": "b"}, {"k": [1, None]}, str(track))
    assert back.children[0].class_name == "wheel" and not said
    t.extra_data["f"] = object()
    with pytest.raises(CapsuleError, match="object has no JSON form"):
        _nodes.ours(t, _nodes.Tracks("s"), said.append)
    t.extra_data.clear()
    t.children.append(t)
    with pytest.raises(CapsuleError, match="deep"):
        _nodes.ours(t, _nodes.Tracks("s"), said.append)


def test_what_is_not_changed_is_no_change(vcap):
    n = Node("car", (0, 0, 9, 9), attributes={"a": "b"}, extra={"k": {"x": 1.5}}, encoding=[1, 2], track=uuid.uuid4())
    n = Node._known(_message(n), None)
    g = _nodes.Given(vcap, n)
    g.changes(_nodes.Tracks("s"), pytest.fail)
    assert not n._changed()
    g.theirs.extra_data["k"]["x"] = 2  # deep within
    g.theirs.encoding[0] = 5  # in place
    g.changes(_nodes.Tracks("s"), pytest.fail)
    assert n._changed() and n.extra["k"] == {"x": 2} and n.encoding.tolist() == [5, 2]


def _message(n):
    from capstan._wire import capsule_pb2 as pb

    m = pb.FrameRequest()
    n._write_new(m.nodes.add(id=1), None)
    return m.nodes[0]


# The user's package, and the capsule's files.


def test_missing_vcap_is_one_sentence(no_vcap):
    with pytest.raises(CapsuleError) as e:
        _user.package()
    words = str(e.value)
    assert sys.executable in words and "-m pip install vcap vcap_utils" in words and "CAPSTAN_PYTHON" in words and "\n" not in words
    assert asked("detector_bright_old")["error"] == words


def test_a_folder_named_vcap_is_not_the_package(no_vcap, tmp_path, monkeypatch):
    (tmp_path / "vcap").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CapsuleError, match="is not installed"):
        _user.package()


def test_a_package_that_isolation_refuses_is_said(no_vcap, tmp_path, monkeypatch):
    (tmp_path / "vcap").mkdir()
    (tmp_path / "vcap" / "__init__.py").write_text("")
    assert _user.refused([str(tmp_path), "/nowhere"]) == ""
    real = open

    def closed(file, *args, **more):
        if str(file).startswith(str(tmp_path)):
            raise PermissionError(13, "Permission denied", str(file))
        return real(file, *args, **more)

    monkeypatch.setattr("builtins.open", closed)
    assert _user.refused(["/nowhere", str(tmp_path)]) == str(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(_user.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CapsuleError, match=f"lies in {tmp_path}, which isolation refuses to read: .* --file {tmp_path}$"):
        _user.package()


@pytest.mark.parametrize("text, words", [("import no_such_tensorflow", "it needs no_such_tensorflow"), ("raise SystemExit(3)", "SystemExit: 3"), ("x = 1", "it lacks load_capsule")])
def test_another_vcap_is_said(no_vcap, tmp_path, monkeypatch, text, words):
    (tmp_path / "vcap").mkdir()
    (tmp_path / "vcap" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CapsuleError, match=words):
        _user.package()


def test_zip_is_the_same_for_the_same_files_and_has_folders(tmp_path):
    shutil.copytree(folder("detector_bright_old"), tmp_path / "x")
    (tmp_path / "x" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "x" / "__pycache__" / "y.pyc").write_text("")
    assert _user.zipped(str(tmp_path / "x")) == _user.zipped(folder("detector_bright_old"))
    assert _user.names(str(tmp_path / "x")) == ["backend.py", "capsule.py", "meta.conf", "labels/", "labels/names.txt", "shapes/", "shapes/squares.py"]


def test_a_capsule_that_declares_something_else_is_refused(standin, tmp_path):
    code = imported(tmp_path, "detector_bright_old")
    file = tmp_path / "detector_bright_old" / "original" / "capsule.py"
    file.write_text(file.read_text().replace("version = 3", "version = 4"))
    with pytest.raises(CapsuleError, match='declares something else .* version is "4" and was "3"; import it again'):
        Bench(code)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": 99}', '{"format": 1, "name": "x"}'])
def test_vcap_json_that_is_none_is_said(tmp_path, text):
    (tmp_path / "vcap.json").write_text(text)
    with pytest.raises(CapsuleError, match="vcap.json"):
        program(str(tmp_path / "main.py"))
    with pytest.raises(CapsuleError, match="capstan capsule import writes it"):
        program(str(tmp_path / "elsewhere" / "main.py"))


def test_manifest_of_main_is_that_of_the_import(standin, tmp_path):
    imported(tmp_path, "options_all_old")
    main = tmp_path / "options_all_old" / "main.py"
    env = {"PYTHONPATH": str(HERE.parent.parent), "PATH": "/usr/bin"}  # without vcap: describing it takes nothing of it
    got = subprocess.run([sys.executable, str(main), "manifest"], env=env, capture_output=True, text=True, check=True)
    assert got.stdout == (tmp_path / "options_all_old" / "capsule.yaml").read_text()


def test_unloading_ends_the_backends(vcap, bench):
    before = threading.active_count()
    b = bench("tracker_nearest_old")
    assert threading.active_count() > before
    b.close()
    for _ in range(100):
        if threading.active_count() <= before:
            break
        time.sleep(0.05)
    assert threading.active_count() <= before


# What import says.


def test_findings_of_a_capsule_that_cannot_work(standin):
    a = asked("cannot_old")
    said = [(f["level"], f["about"]) for f in a["findings"]]
    assert said[0] == ("cannot", "packages") and "kafka" in a["findings"][0]["words"] and "capsule.py:7" in a["findings"][0]["words"]
    for about in "network", "processes", "files", "time", "state", "requirements", "packages":
        assert ("limits", about) in said, about
    words = " ".join(f["words"] for f in a["findings"])
    for w in "/home/anna/known.pickle", "labels.txt", "no_such_accelerator", "numpy>=900", "no-such-thing-at-all==4.2", "subprocess":
        assert w in words
    assert "No module named 'kafka'" in a["error"] and "declaration" not in a


def test_a_capsule_for_devices_that_are_not_there(standin, monkeypatch):
    monkeypatch.setitem(sys.modules, "kafka", type(sys)("kafka"))
    sys.modules["kafka"].__spec__ = type("Spec", (), {})()
    a = asked("cannot_old")
    assert "error" not in a
    [backends] = [f for f in a["findings"] if f["about"] == "backends"]
    assert backends["level"] == "cannot" and "no device" in backends["words"]
    assert a["declaration"]["needs"]["devices"] == ["/dev/dri/*", "/dev/nvidia*"]
    assert any("no values" in f["words"] for f in a["findings"])


@pytest.mark.parametrize("name, level, about, words", [
    ("import_fails_old", "cannot", "packages", "no_such_package_of_anyone"),
    ("detector_bright_old", "limits", "devices", "prefers GPUs"),
    ("encoder_mean_old", "limits", "distances", "euclidean distance, as its code says"),
    ("options_all_old", "limits", "declaration", "words_of"),
    ("tracker_nearest_old", "works", "backends", "Backend"),
])  # fmt: skip
def test_findings(standin, name, level, about, words):
    found = [f for f in asked(name)["findings"] if (f["level"], f["about"]) == (level, about)]
    assert found and any(words in f["words"] for f in found), asked(name)["findings"]


def test_scan_runs_nothing(no_vcap, tmp_path):
    (tmp_path / "capsule.py").write_text("import pathlib\npathlib.Path(__file__ + '.ran').touch()\nraise SystemExit\n")
    a = answer({"folder": str(tmp_path), "mode": "scan", "metric": "", "needs": {}})
    assert a["findings"] == [] and "error" not in a and list(tmp_path.iterdir()) == [tmp_path / "capsule.py"]


@pytest.mark.parametrize("text, level, about", [
    ("def f(:\n", "cannot", "code"),
    ("import tensorflow.contrib.slim\n", "cannot", "packages"),
    ("from vcap_utils.backends.backend_rpc_process import X\nclass S(BaseStreamState): pass\nclass B(X): pass\n", "cannot", "state"),
    ("from vcap_utils.backends.backend_rpc_process import X\nclass B(X): pass\n", "limits", "state"),
    ("open('/srv/x/y')\n", "limits", "files"),
    ("'''A docstring with /srv/x in it.'''\n", None, None),
    ("import typing\nif typing.TYPE_CHECKING:\n    import no_such_thing\n", None, None),
    ("import vcap\nfrom .backend import Backend\nimport numpy, os, json\n", None, None),
])  # fmt: skip
def test_scan(no_vcap, tmp_path, text, level, about):
    (tmp_path / "capsule.py").write_text(text)
    found, _ = _scan.scan(str(tmp_path))
    if level is None:
        assert found == []
    else:
        assert (level, about) in [(f.level, f.about) for f in found]


def test_scan_says_nothing_of_what_was_given(no_vcap, tmp_path):
    (tmp_path / "capsule.py").write_text("import socket\nopen('/srv/maps/a')\nopen('/srv/mapsx')\n")
    assert len(_scan.scan(str(tmp_path))[0]) == 3
    found, _ = _scan.scan(str(tmp_path), {"network": ["*:443"], "files": ["/srv/maps"]})
    assert [f.words.split(":")[1] for f in found] == ["3 names /srv/mapsx"]


def test_scan_takes_a_tensorflow_of_another_age_for_what_it_is(no_vcap, tmp_path, monkeypatch):
    monkeypatch.setattr(_scan, "_version", lambda name: "2.11.0" if name == "tensorflow" else "")
    monkeypatch.setattr(_scan, "_there", lambda name: True)
    (tmp_path / "capsule.py").write_text("import tensorflow as tf\ns = tf.Session()\n")
    assert [(f.level, f.about) for f in _scan.scan(str(tmp_path))[0]] == [("limits", "tensorflow")]
    (tmp_path / "capsule.py").write_text("import tensorflow as tf\ns = tf.contrib.slim\n")
    assert [(f.level, f.about) for f in _scan.scan(str(tmp_path))[0]] == [("cannot", "tensorflow")]
    (tmp_path / "capsule.py").write_text("import tensorflow as tf\ns = tf.compat.v1.Session()\n")
    assert _scan.scan(str(tmp_path))[0] == []


def test_declarations_that_nothing_can_be_made_of(standin):
    size = standin.NodeDescription.Size
    with pytest.raises(CapsuleError, match="is not one of NONE, SINGLE, ALL"):
        _declare.description_of(standin.NodeDescription(size=7))
    with pytest.raises(CapsuleError, match="no number"):
        _declare.option_of("x", standin.FloatOption(default=float("nan"), min_val=None, max_val=None), print)
    said = []
    d = _declare.description_of(standin.NodeDescription(size=size.ALL, detections=["a", "b", "a"], attributes={"k": [True, "x"], "e": []}), lambda *a: said.append(a))
    assert d["detections"] == ["a", "b"] and d["attributes"] == [["k", ["True", "x"]]] and len(said) == 1
