import datetime
import io
import os

import pytest

import capstan
from capstan import CapsuleError, Description, Gate, Model, Needs, capsule, each, every, finds, option
from capstan._command import command, describe
from capstan.manifest import encode

SHA = "0123456789abcdef" * 4


def declared(code=None, **more):
    class Quiet:
        """Finds nothing.

        At length."""

        def process(self, frame):
            pass

    args = dict(name="c", version=1, output=finds("x"))
    args.update(more)
    return capsule(**args)(code or Quiet).__capsule__


def test_what_follows_from_the_class():
    class Base:
        low = option(0.25, "Lower.", min=0)
        gone = option(1)

    class Code(Base):
        high = option(7, "Upper.")
        gone = None

        def process(self, frame, nodes=(), *rest, **more):
            pass

    c = declared(Code, options={"word": option("w", "A word.")})
    assert [(o.name, o.type, o.default) for o in c.options] == [("low", "float", 0.25), ("high", "int", 7), ("word", "str", "w")]
    assert Code.high.name == "high" and Code().high == 7
    assert declared().description == "Finds nothing."
    assert declared().entry == "test_declare.py"


@pytest.mark.parametrize(
    "more, words",
    [
        (dict(name="a-b"), 'name: "a-b" has characters'),
        (dict(version=" "), "version: is empty"),
        (dict(output=Description("some")), "output: size: 'some' is not one of"),
        (dict(output=Description("none")), "says that the capsule gives nothing"),
        (dict(output="face"), "is no Description"),
        (dict(output=finds("a", "a")), 'output: detections: "a" stands there twice'),
        (dict(output=Description("all", "face")), "want a list of texts"),
        (dict(output=finds("a", attributes={"mood": []})), "mood has no values"),
        (dict(input=Description("none", ("a",))), "takes no nodes"),
        (dict(output=finds("a", encoded=True)), "recognition_threshold"),
        (dict(output=finds("a", encoded=True), options={"recognition_threshold": option(0.5)}), "metric"),
        (dict(output=finds("${nope}")), "output: ${nope} is not an option of type str, enum or list"),
        (dict(output=finds("a", "${k}"), options={"k": option("a")}), 'output: detections: "a" stands there twice'),
        (dict(formats=["YUY2"]), 'formats: "YUY2" is not one of'),
        (dict(formats=["RGB", "RGB"]), "stands there twice"),
        (dict(picture={"width": 3}), "picture: either max_side"),
        (dict(picture={"max_side": 1 << 20}), "sides are within"),
        (dict(every_n=-1), "every_n: -1"),
        (dict(workers=1.5), "workers: 1.5"),
        (dict(deadline=-1.0), "deadline: is below 0"),
        (dict(deadline="soon"), 'deadline: "soon" is not a duration'),
        (dict(gate=Gate(hold="2s")), "gate: class: is empty"),
        (dict(models=[Model("a/b", SHA)]), "not a file name without folders"),
        (dict(models=[Model("a", "12")]), "is not 64 hexadecimal digits"),
        (dict(picture={"filter": "cubic"}), 'filter "cubic" is not one of'),
        (dict(needs=Needs(["example.com"])), "needs: network"),
        (dict(needs=Needs(files=["a"])), "neither a plain absolute path"),
        (dict(needs=Needs(files=["${a}"])), 'there is no option "a" of type str or list'),
        (dict(needs=Needs(devices=["/etc"])), "below /dev"),
        (dict(needs=Needs(memory="512")), "is no size"),
        (dict(needs=Needs(memory="1MB")), "not within 16 MiB"),
        (dict(needs=Needs(cpu=-1)), "cpu: -1"),
        (dict(options={"a": 3}), "options: a is no option"),
        (dict(options={"a": option(3, max=2)}), "options: option: a: 3 is not within"),
        (dict(batch=4), "has no method process_batch"),
    ],
)
def test_refused(more, words):
    with pytest.raises(CapsuleError) as e:
        declared(**more)
    assert words in str(e.value) and "\n" not in str(e.value)


def test_parameters_that_cannot_be_given():
    with pytest.raises(CapsuleError, match="asks for 'image'; it can be given: frame, nodes"):

        @capsule(name="c", version=1, output=finds("x"))
        def wrong(image):
            pass

    class Code:
        def process(self, frame):
            pass

        def load(self):
            pass

    with pytest.raises(CapsuleError, match="classmethod"):
        declared(Code)


# What pipeline/host's tests hold against Go's own writer.
with open(os.path.join(os.path.dirname(__file__), "everything.yaml"), encoding="utf-8") as f:
    GOLDEN = f.read()


def everything():
    return declared(
        name="encoder_all",
        version="2.0-rc 1",
        description='Says: everything "at once", ünïcode & <tags>.',
        input=each("face", "${classes}", attributes={"mood": ["happy", "no"], "two words": ["a b"]}, tracked=True, extra_data=["confidence"]),
        output=each("face", "${classes}", encoded=True),
        options={
            "recognition_threshold": option(0.8, "Largest distance at which two faces are one person's.", min=0, max=2.5),
            "classes": option(["person", "on"]),
            "key": option("", secret=True),
            "mode": option("fast", choices=["fast", "exact"]),
            "on_top": option(True),
            "window": option(datetime.timedelta(seconds=90), min=0.25, max=datetime.timedelta(hours=2)),
            "word": option("1"),
        },
        formats=["RGB", "GRAY8"],
        picture={"width": 112, "height": 96, "filter": "linear"},
        stateful=True,
        on_demand=True,
        every_n=3,
        gate=Gate("motion", "2s", datetime.timedelta(seconds=10)),
        deadline=1.5,
        metric="cosine",
        models=[Model("x.onnx", SHA, "https://example.com/x.onnx", "MIT")],
        needs=Needs(["api.example.com:443"], ["/srv/maps", "${word}"], ["/srv/out"], ["/dev/nvidia*"], "1.5GiB", 1.5, 4),
        entry="bin/main.py",
    )


def test_manifest():
    assert encode(everything()) == GOLDEN


@pytest.mark.parametrize("entry, why", [("/a", "not relative"), ("../a", "leave the folder"), ("a/", "names no file"), ("a\\b", "plain path")])
def test_bad_entries(entry, why):
    with pytest.raises(CapsuleError, match=why):
        encode(declared(entry=entry))


def test_complete():
    c = declared(options={"a": option(1, max=5), "l": option(["x"])})
    assert c.complete(None) == {"a": 1, "l": ["x"]}
    assert c.complete({"a": 2}) == {"a": 2, "l": ["x"]}
    c.complete(None)["l"].append("spoilt")
    assert c.complete(None)["l"] == ["x"]
    with pytest.raises(CapsuleError, match='there is no option "zz"; it has: a, l'):
        c.complete({"zz": 1})
    with pytest.raises(CapsuleError, match="9 is not within ..5"):
        c.complete({"a": 9})


def run(c, *args):
    out, errs = io.StringIO(), io.StringIO()
    return command(c, list(args), out, errs), out.getvalue(), errs.getvalue()


def test_command_line(tmp_path):
    c = everything()
    assert run(c, "manifest") == (0, GOLDEN, "")
    path = tmp_path / "capsule.yaml"
    assert run(c, "manifest", str(path))[0] == 0 and path.read_text() == GOLDEN
    status, out, _ = run(c, "describe")
    assert status == 0 and "RGB, GRAY8, 112x96" in out and "every 3." in out and "recognition_threshold" in out
    for args in ([], ["serve"], ["dance"]):
        status, out, errs = run(c, *args)
        assert status == 2 and out == "" and "is a Capstan capsule" in errs and "capstan run" in errs
    status, _, errs = run(c, "manifest", "/nowhere/at/all")
    assert status == 1 and "nowhere" in errs


def test_describe_hides_secrets():
    assert "hush" not in describe(declared(options={"key": option("hush", secret=True)}))


def test_every_name_is_exported():
    for name in capstan.__all__:
        assert getattr(capstan, name) is not None
    assert every("a").size == "all"
