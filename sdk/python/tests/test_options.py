import datetime
import enum
import json
import math

import pytest

from capstan import CapsuleError, Options, option
from capstan.options import Option, duration_text, number_text, parse_duration

S = datetime.timedelta(seconds=1)


class Mood(enum.Enum):
    HAPPY = "happy"
    SAD = "sad"


def of(default, **more):
    o = option(default, name="o", **more)
    o.validate()
    return o


# The table of core/option_test.go, in Python's values.
@pytest.mark.parametrize(
    "o, value, want",
    [
        (of(0.5, min=0, max=1), 0.0, 0.0),
        (of(0.5, min=0, max=1), 1, 1.0),
        (of(0.5, max=1), -0.1, -0.1),
        (of(1, min=0, max=5), 1.0, 1),
        (of(1), 2**63 - 1, 2**63 - 1),
        (of(1), -(2**63) + 1, -(2**63) + 1),
        (of("a", choices=["a", "b"]), "b", "b"),
        (of(Mood.SAD), "happy", Mood.HAPPY),
        (of(True), False, False),
        (of(""), "x", "x"),
        (of("", secret=True), "hush", "hush"),
        (of(["x"]), ["a", "b"], ["a", "b"]),
        (of(["x"]), [], []),
        (of(S), "250ms", S / 4),
        (of(S), 1.5, S * 1.5),
        (of(S), S, S),
    ],
)
def test_check_takes(o, value, want):
    got = o.check(value)
    assert got == want and type(got) is type(want)


@pytest.mark.parametrize(
    "o, value, words",
    [
        (of(0.5, min=0, max=1), 1.5, "option: o: 1.5 is not within 0..1"),
        (of(0.5), math.nan, "not a finite number"),
        (of(0.5), math.inf, "not a finite number"),
        (of(0.5), True, "true is not a number"),
        (of(0.5), "0.5", '"0.5" is not a number'),
        (of(0.5), None, "nothing is not a number"),
        (of(0.5), [1.0], "a list is not a number"),
        (of(0.5), 10**400, "is not a number"),
        (of(1, min=0, max=5), True, "true is not a whole number"),
        (of(1, min=0, max=5), 1.5, "1.5 is not a whole number"),
        (of(1, min=0, max=5), 6, "6 is not within 0..5"),
        (of(1), 1e20, "64 bits"),
        (of(1), 2**63, "64 bits"),
        (of("a", choices=["a", "b"]), "c", '"c" is not one of [a, b]'),
        (of(Mood.SAD), "angry", "not one of [happy, sad]"),
        (of(True), 1, "1 is not true or false"),
        (of(""), 1, "1 is not a string"),
        (of("", secret=True), 123456, "a secret is a string"),
        (of(["x"]), ["a", 1], "1 is not a string of the list"),
        (of(["x"]), "a", '"a" is not a list of strings'),
        (of(["x"]), {"a": "b"}, "is not a list of strings"),
        (of(S), "5", "is not a duration"),
        (of(S), 1e18, "too long"),
        (of(S, max=S), "2s", "2s is not within ..1"),
    ],
)
def test_check_refuses(o, value, words):
    with pytest.raises(CapsuleError) as e:
        o.check(value)
    assert words in str(e.value)
    if o.type == "secret":
        assert "123456" not in str(e.value)


@pytest.mark.parametrize(
    "o, words",
    [
        (Option("a-b", "int", 1), "characters other than"),
        (Option("o", "colour", 1), 'type "colour" is not one of'),
        (Option("o", "int", 1, min=5, max=1), "min 5 is above max 1"),
        (Option("o", "int", 3, max=2), "3 is not within ..2"),
        (Option("o", "float", 1, min=math.nan), "limit nan is not a finite number"),
        (Option("o", "str", "", min=1), "limits are for"),
        (Option("o", "enum", "a"), "an enum needs choices"),
        (Option("o", "enum", "z", choices=["a"]), '"z" is not one of [a]'),
        (Option("o", "enum", "a", choices=["a", "a"]), "stands there twice"),
        (Option("o", "int", 1, choices=["a"]), "choices are for an enum"),
        (Option("o", "int", None), "it has no default"),
    ],
)
def test_validate_refuses(o, words):
    with pytest.raises(CapsuleError) as e:
        o.validate()
    assert words in str(e.value)


def test_no_type_follows():
    with pytest.raises(CapsuleError):
        option(object())


@pytest.mark.parametrize(
    "text, ns",
    [("0s", 0), ("1ns", 1), ("1.5µs", 1500), ("250ms", 250 * 10**6), ("1.5s", 1500 * 10**6), ("1m", 60 * 10**9), ("1m30s", 90 * 10**9), ("2h", 7200 * 10**9), ("1h0m0.5s", 3600 * 10**9 + 5 * 10**8), ("-5s", -5 * 10**9)],
)
def test_durations(text, ns):
    assert duration_text(ns) == text
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "1s2", "--1s", "1e3s", "9999999h9999999h99999999999999h"])
def test_no_durations(text):
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize("x, text", [(1.0, "1"), (0.1, "0.1"), (1e21, "1" + "0" * 21), (1e-7, "0.0000001"), (-0.5, "-0.5"), (100, "100")])
def test_number_text(x, text):
    assert number_text(x) == text


def test_wire_values_are_json():
    for o in (of(0.5), of(1), of(True), of("x"), of(["a"]), of(S), of(Mood.SAD)):
        assert o.check(json.loads(json.dumps(o.wire(o.default)))) == o.default


def test_options_are_read_only():
    o = Options({"side": 3})
    assert o.side == 3 and o["side"] == 3 and dict(o) == {"side": 3}
    with pytest.raises(AttributeError):
        o.side = 4
    with pytest.raises(AttributeError):
        o.nothing
    with pytest.raises(TypeError):
        o["side"] = 4
