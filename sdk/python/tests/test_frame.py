import datetime
import gc
import uuid

import numpy as np
import pytest

import capstan
from capstan import Box, CapsuleError, ExpiredError, FormatError, Layout, Node, Plane, each, every, finds, rect
from capstan._wire import capsule_pb2 as pb
from capstan.frame import Frame
from capstan.testing import Bench, ContractError, pack

SIZES = [(1, 1), (2, 2), (3, 5), (5, 3), (33, 17), (64, 36)]


def frame_of(format, w, h, padding=5):
    """A frame over noise with strides and offsets of its own, and each plane as plain rows."""
    layout = Layout(format, w, h, ())
    count = {"GRAY8": 1, "RGB": 1, "BGR": 1, "NV12": 2, "I420": 3}[format]
    planes, at = [], 11
    layout = Layout(format, w, h, tuple(Plane(0, 0) for _ in range(count)))
    for i in range(count):
        row, rows = layout.plane_size(i)
        planes.append(Plane(at, row + padding + i))
        at += (row + padding + i) * rows + 3
    layout = layout._replace(planes=tuple(planes))
    mem = bytes((i * i >> 3) & 255 for i in range(at))
    layout.check(len(mem))
    rows = []
    for i, p in enumerate(planes):
        row, n = layout.plane_size(i)
        rows.append([mem[p.offset + y * p.stride :][:row] for y in range(n)])
    m = pb.FrameRequest(call=1, seq=7, pts_ns=1500000000)
    m.picture.native_width, m.picture.native_height = w, h
    return Frame("s", m, layout, mem), rows


def array(rows):
    return np.array([list(r) for r in rows], np.uint8)


@pytest.mark.parametrize("w, h", SIZES)
@pytest.mark.parametrize("padding", [0, 5])
def test_views_are_the_pixels(w, h, padding):
    for format in ("GRAY8", "I420", "NV12"):
        f, rows = frame_of(format, w, h, padding)
        assert f.gray().shape == (h, w) and (f.gray() == array(rows[0])).all() and (f.y == f.gray()).all()
        assert not f.gray().flags.owndata and not f.gray().flags.writeable and f.gray() is f.gray()
    f, rows = frame_of("I420", w, h, padding)
    assert (f.u == array(rows[1])).all() and (f.v == array(rows[2])).all() and f.u.shape == ((h + 1) // 2, (w + 1) // 2)
    f, rows = frame_of("NV12", w, h, padding)
    both = array(rows[1])
    assert (f.u == both[:, 0::2]).all() and (f.v == both[:, 1::2]).all() and (f.uv.reshape(both.shape) == both).all()
    f, rows = frame_of("RGB", w, h, padding)
    pixels = array(rows[0]).reshape(h, w, 3)
    assert (f.rgb() == pixels).all() and not f.rgb().flags.owndata and (f.bgr() == pixels[..., ::-1]).all() and f.bgr().flags.c_contiguous
    f, rows = frame_of("BGR", w, h, padding)
    pixels = array(rows[0]).reshape(h, w, 3)
    assert (f.bgr() == pixels).all() and not f.bgr().flags.owndata and (f.rgb() == pixels[..., ::-1]).all()
    b, g, r = (pixels[..., i].astype(int) for i in range(3))
    assert (f.gray() == (299 * r + 587 * g + 114 * b + 500) // 1000).all()
    assert (f.plane(0) == array(rows[0])).all()


def test_views_are_read_only():
    f, _ = frame_of("I420", 8, 8)
    for a in (f.gray(), f.u, f.plane(0), f.crop(Box(1, 1, 4, 4))):
        with pytest.raises(ValueError):
            a[0, 0] = 1
        with pytest.raises(ValueError):
            a.setflags(write=True)


def test_what_a_format_does_not_have():
    f, _ = frame_of("GRAY8", 8, 8)
    with pytest.raises(FormatError, match=r"the picture is GRAY8; put RGB first in formats"):
        f.rgb()
    with pytest.raises(FormatError, match="put I420 first"):
        f.u
    with pytest.raises(FormatError, match="no plane 1"):
        f.plane(1)
    none = Frame("s", pb.FrameRequest(), None, None)
    with pytest.raises(FormatError, match="no pixels"):
        none.gray()
    assert none.format == "" and none.width == 0 and none.layout is None


def test_what_a_frame_says():
    m = pb.FrameRequest(call=1, seq=7, pts_ns=1500000000, captured_ns=1700000000000000005)
    m.picture.native_width, m.picture.native_height, m.picture.rate_n, m.picture.rate_d = 640, 360, 30000, 1001
    m.picture.full_range = m.picture.bt709 = True
    f = Frame("s", m, None, None)
    assert (f.seq, f.pts, f.pts_ns, f.native_size, f.width, f.height) == (7, 1.5, 1500000000, (640, 360), 640, 360)
    assert f.captured == datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc) and f.captured_ns % 10 == 5
    assert round(f.fps, 2) == 29.97 and f.full_range and f.matrix == "bt709"
    assert Frame("s", pb.FrameRequest(), None, None).captured is None


def test_a_frame_ends_with_its_call():
    f, _ = frame_of("GRAY8", 8, 8)
    kept = f.gray()
    f._close()
    with pytest.raises(ExpiredError):
        f.gray()
    assert f.width == 8 and kept.shape == (8, 8)


def test_a_view_that_is_kept_is_an_error_on_the_bench():
    @capstan.capsule(name="c", version=1, output=finds("x"), formats=["GRAY8"])
    class Keeps:
        def open(self):
            self.last = None

        def process(self, frame):
            self.last = frame.gray()[2:4] if frame.seq % 2 else frame.gray().copy()

    bench = Bench(Keeps)
    for _ in range(2):
        with pytest.raises(CapsuleError, match="kept a view of the picture .y."):
            bench.process(np.zeros((8, 8), np.uint8))
        bench.process(np.zeros((8, 8), np.uint8))
        gc.collect()


def test_crop():
    f, rows = frame_of("GRAY8", 33, 17)
    whole = array(rows[0])
    assert (f.crop(Box(2, 3, 10, 9)) == whole[3:9, 2:10]).all()
    assert f.crop(Box(-5, -5, 100, 100)).shape == (17, 33)
    assert f.crop(Box(40, 40, 50, 50)).size == 0
    assert f.crop(Node("x", (10, 5, 20, 10)), margin=0.1).shape == (6, 12)


def test_node():
    n = Node("face", (1, 2, 3, 5), confidence=0.5, attributes={"mood": "sad"}, extra={"n": np.float32(2)}, encoding=[1, 2], children=[Node("eye", [(1, 1)])])
    assert n.box == (1, 2, 3, 5) and n.box.width == 2 and n.box.area == 6 and n.box.center == (2, 3.5) and n.coords == rect(1, 2, 3, 5)
    assert n.id == 0 and n.confidence == 0.5 and n.attributes["mood"] == "sad" and dict(n.extra) == {"n": 2.0, "confidence": 0.5}
    assert n.encoding.dtype == np.float32 and n.track is None and n.children[0].class_name == "eye"
    u = uuid.uuid4()
    n.track = u
    assert n.track == str(u)
    assert Node("x", np.array([[1, 2], [3, 4]])).coords == [(1, 2), (3, 4)] and Node("x").box == (0, 0, 0, 0)
    assert Node("x", Box(0, 0, 1, 1).grown(1)).box == (-1, -1, 2, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Node(3),
        lambda: Node("x", (1, 2, 3)),
        lambda: Node("x", "1234"),
        lambda: Node("x", 7),
        lambda: Node("x").set("a", 1),
        lambda: setattr(Node("x"), "track", "car 7"),
        lambda: setattr(Node("x"), "encoding", ["a"]),
        lambda: Node("x").extra.__setitem__("k", float("nan")),
        lambda: Node("x").extra.__setitem__("k", object()),
        lambda: Node("x").extra.__setitem__(1, 1),
    ],
)
def test_nodes_that_cannot_be(wrong):
    with pytest.raises(CapsuleError):
        wrong()


def test_extra_is_only_added_to():
    n = Node("x", extra={"a": 1})
    with pytest.raises(TypeError):
        del n.extra["a"]
    assert "a" in n.extra and "b" not in n.extra and n.extra.get("b") is None


def capsule(process, **more):
    return capstan.capsule(**{**dict(name="c", version=1, output=finds("x"), formats=["GRAY8"]), **more})(process)


IMAGE = np.arange(64 * 96, dtype=np.uint32).astype(np.uint8).reshape(64, 96)


def test_coordinates_are_those_of_the_picture():
    def process(frame, nodes):
        assert nodes[0].box == (10, 10, 20, 20) and nodes[0].children[0].box == (1, 1, 2, 2)
        frame.add("x", (0, 0, 96, 64)).add_child("part", (3, 3, 6, 6))

    out = Bench(capsule(process, input=every("y"), output=every())).process(
        IMAGE, [Node("y", (20, 20, 40, 40), children=[Node("z", (2, 2, 4, 4))])], native=(192, 128)
    )
    assert out.added[0].box == (0, 0, 192, 128) and out.added[0].children[0].box == (6, 6, 12, 12)


def test_results_may_be_returned_or_yielded():
    def returns():
        return [Node("x", (1, 2, 3, 4))]

    def yields():
        yield Node("x", (1, 2, 3, 4))

    def one(frame):
        return frame.add("x", (1, 2, 3, 4))

    for process in (returns, yields, one):
        assert [n.box for n in Bench(capsule(process)).process(IMAGE).added] == [(1, 2, 3, 4)]
    for wrong in (lambda: 3, lambda: [3], lambda: "x", lambda: {"a": 1}):
        with pytest.raises(CapsuleError, match="process returned"):
            Bench(capsule(wrong)).process(IMAGE)


def test_patches():
    def process(node, log):
        log.info("seen", node=node.id)
        node.set("mood", "sad").set("mood", "happy")
        node.extra["n"] = 1
        node.encoding = [0.5, 0.25]
        node.track = "00000000-0000-4000-8000-000000000000"

    code = capsule(process, input=each("x"), output=each("x", attributes={"mood": ["happy"]}))
    first, second = Bench(code).process(IMAGE, [Node("x", extra={"old": 1}), Node("x", attributes={"mood": "sad"})]).nodes
    for n in (first, second):
        assert dict(n.attributes) == {"mood": "happy"} and n.extra["n"] == 1 and list(n.encoding) == [0.5, 0.25] and n.track.startswith("0000")
    assert first.extra["old"] == 1 and (first.id, second.id) == (1, 2)


def test_nodes_that_were_there_stay_as_they_are():
    def process(nodes):
        nodes[0].add_child("part")

    with pytest.raises(CapsuleError, match="cannot get children"):
        Bench(capsule(process, input=every(), output=every())).process(IMAGE, [Node("x")])


@pytest.mark.parametrize(
    "process, more, words",
    [
        (lambda frame: frame.add("y"), {}, "class 'y' is not declared"),
        (lambda frame: frame.add("x"), dict(output=finds("x", extra_data=["confidence"])), "'confidence' is missing"),
        (lambda frame: frame.add("x", attributes={"a": "c"}), dict(output=finds("x", attributes={"a": ["b"]})), "a='c' is not one of"),
        (lambda frame: frame.add("x"), dict(output=finds("x", tracked=True)), "no track"),
        (lambda frame: frame.add("x"), dict(output=finds("x", encoded=True), metric="cosine", options={"recognition_threshold": capstan.option(0.5)}), "no encoding"),
        (lambda frame: [frame.add("x"), frame.add("x")], dict(output=each("x")), "takes none and gives single"),
    ],
)
def test_the_bench_holds_the_contract(process, more, words):
    with pytest.raises(ContractError, match=words):
        Bench(capsule(process, **more)).process(IMAGE)


def test_streams_have_their_own_state():
    def count(frame, state, options):
        state["n"] = state.get("n", options.start) + 1
        frame.add("x", extra={"n": state["n"]})

    with Bench(capsule(count, options={"start": capstan.option(10)}), start=20) as bench:
        got = [bench.process(IMAGE, stream=s).added[0].extra["n"] for s in "aabab"]
    assert got == [21, 22, 21, 23, 22]
    with pytest.raises(CapsuleError, match='there is no option "nope"'):
        Bench(capsule(count, options={"start": capstan.option(10)}), nope=1)


def test_pack_gives_what_frames_show():
    rgb = np.dstack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]])
    for format in ("RGB", "BGR"):
        mem, layout = pack(rgb, format, padding=3)
        assert (Frame("s", pb.FrameRequest(), layout, mem).rgb() == rgb).all()
    gray = np.repeat(IMAGE[..., None], 3, 2)
    for format in ("GRAY8", "I420", "NV12"):
        mem, layout = pack(gray, format, full_range=True)
        f = Frame("s", pb.FrameRequest(), layout, mem)
        assert (f.gray() == IMAGE).all()
        if format != "GRAY8":
            assert (f.u == 128).all() and (f.v == 128).all()
