"""Options of a capsule: their declaration, and the values that an engine gives for them."""

from __future__ import annotations

import datetime
import enum
import math
import re
import typing
from typing import Any, Iterable, Mapping, Optional, Sequence

from .faults import CapsuleError

__all__ = ["Option", "Options", "option"]

TYPES = ("float", "int", "enum", "bool", "str", "secret", "list", "duration")

_NAME = re.compile(r"[A-Za-z0-9_]+\Z")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def valid_name(text: str) -> bool:
    """Whether text may name a capsule or an option."""
    return isinstance(text, str) and bool(_NAME.match(text))


def parse_duration(text: str) -> int:
    """Nanoseconds of "250ms", "1m30s", "1.5h"; ValueError for anything else."""
    rest, sign = text, 1
    if rest[:1] in ("+", "-"):
        sign, rest = (-1 if rest[0] == "-" else 1), rest[1:]
    if rest == "0":
        return 0
    total, at = 0, 0
    while at < len(rest):
        m = _PART.match(rest, at)
        if not m:
            break
        whole, _, fraction = m.group(1).partition(".")
        unit = _UNITS[m.group(2)]
        total += int(whole or "0") * unit
        if fraction:
            total += int(fraction) * unit // 10 ** len(fraction)
        at = m.end()
    if not rest or at < len(rest) or total >= 1 << 63:
        raise ValueError(f'"{text}" is not a duration such as 250ms or 5s')
    return sign * total


def duration_text(ns: int) -> str:
    """A duration as manifests have it: 250ms, 1m30s, 2h."""
    if ns == 0:
        return "0s"
    sign, ns = ("-" if ns < 0 else ""), abs(ns)

    def decimal(value: int, unit: int) -> str:
        whole, rest = divmod(value, unit)
        if not rest:
            return str(whole)
        return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0")

    if ns < 10**3:
        return f"{sign}{ns}ns"
    if ns < 10**6:
        return f"{sign}{decimal(ns, 10**3)}µs"
    if ns < 10**9:
        return f"{sign}{decimal(ns, 10**6)}ms"
    minutes, ns = divmod(ns, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = ""
    if hours:
        text += f"{hours}h"
    if hours and (minutes or ns) or minutes:
        text += f"{minutes}m"
    if ns or not text:
        text += decimal(ns, 10**9) + "s"
    return sign + text


def to_ns(span: datetime.timedelta) -> int:
    """Nanoseconds of a timedelta, exactly."""
    return ((span.days * 86400 + span.seconds) * 10**6 + span.microseconds) * 1000


def number_text(x: float) -> str:
    """A number as short as it can be, without an exponent."""
    import decimal

    text = format(decimal.Decimal(repr(float(x))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


class Option:
    """One setting of a capsule; make it with :func:`option`.

    As a class attribute of a capsule it is a descriptor: on an instance it reads the value that
    the engine gave for the stream.
    """

    def __init__(
        self,
        name: str,
        type: str,
        default: Any,
        description: str = "",
        *,
        min: Optional[float] = None,
        max: Optional[float] = None,
        choices: Sequence[str] = (),
    ):
        self.name, self.type, self.description = name, type, description
        self.min = _limit(min)
        self.max = _limit(max)
        self.choices = list(choices)
        self.given_default = default
        self.default: Any = default
        self.enum: Optional[typing.Type[enum.Enum]] = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name
        if not self.name:
            self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        try:
            return instance.__dict__[self.attribute]
        except KeyError:
            return self.default

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.attribute] = value

    def __repr__(self) -> str:
        return f"<option {self.name}: {self.type} = {self.default!r}>"

    def limits(self) -> str:
        """ "0..1", "1.." or "" """
        if self.min is None and self.max is None:
            return ""
        low = "" if self.min is None else f"{self.min:g}"
        high = "" if self.max is None else f"{self.max:g}"
        return f"{low}..{high}"

    def check(self, value: Any) -> Any:
        """The value as the capsule gets it, or CapsuleError."""
        try:
            v = self._convert(value)
            self._within(v)
        except ValueError as e:
            raise CapsuleError(f"option: {self.name}: {e}") from None
        if self.enum is not None:
            return self.enum(v)
        return v

    def wire(self, value: Any) -> Any:
        """A checked value in the form that JSON and manifests have it."""
        if isinstance(value, datetime.timedelta):
            return duration_text(to_ns(value))
        if isinstance(value, enum.Enum):
            return value.value
        return value

    def _convert(self, value: Any) -> Any:
        t = self.type
        if t == "float":
            return _number(value)
        if t == "int":
            x = value if isinstance(value, int) else _number(value, "a whole number")
            if isinstance(value, bool):
                raise ValueError(f"{_show(value)} is not a whole number")
            if x != int(x) or abs(int(x)) >= 1 << 63:
                raise ValueError(f"{_show(value)} is not a whole number of 64 bits")
            return int(x)
        if t == "bool":
            if not isinstance(value, bool):
                raise ValueError(f"{_show(value)} is not true or false")
            return value
        if t == "list":
            if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
                raise ValueError(f"{_show(value)} is not a list of strings")
            items = list(value)
            for item in items:
                if not isinstance(item, str):
                    raise ValueError(f"{_show(item)} is not a string of the list")
            return items
        if t == "duration":
            return _duration(value)
        if isinstance(value, enum.Enum):
            value = value.value
        if not isinstance(value, str):
            raise ValueError("a secret is a string" if t == "secret" else f"{_show(value)} is not a string")
        return value

    def _within(self, v: Any) -> None:
        if self.type == "enum" and v not in self.choices:
            raise ValueError(f'"{v}" is not one of [{", ".join(self.choices)}]')
        x = v.total_seconds() if isinstance(v, datetime.timedelta) else v
        if isinstance(x, bool) or not isinstance(x, (int, float)):
            return
        if (self.min is not None and x < self.min) or (self.max is not None and x > self.max):
            raise ValueError(f"{_show(v)} is not within {self.limits()}")

    def validate(self) -> None:
        """CapsuleError for a name, type, limits, choices or default that cannot be."""

        def fail(why: str) -> None:
            raise CapsuleError(f"option: {self.name}: {why}")

        if not valid_name(self.name):
            fail(f'name "{self.name}" has characters other than letters, digits and _')
        if self.type not in TYPES:
            fail(f'type "{self.type}" is not one of [{" ".join(TYPES)}]')
        for limit in (self.min, self.max):
            if limit is not None and not math.isfinite(limit):
                fail(f"limit {limit} is not a finite number")
        if (self.min is not None or self.max is not None) and self.type not in ("float", "int", "duration"):
            fail(f"limits are for int, float and duration, not for a {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            fail(f"min {self.min:g} is above max {self.max:g}")
        if self.type == "enum":
            if not self.choices:
                fail("an enum needs choices")
            for i, c in enumerate(self.choices):
                if not isinstance(c, str) or not c.strip():
                    fail(f"choices: entry {i + 1} is empty")
                if c in self.choices[:i]:
                    fail(f'choices: "{c}" stands there twice')
        elif self.choices:
            fail(f"choices are for an enum, not for a {self.type}")
        if self.given_default is None:
            fail("it has no default")
        self.default = self.check(self.given_default)


def _limit(value: Any) -> Optional[float]:
    return value.total_seconds() if isinstance(value, datetime.timedelta) else value


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value[:80]}"'
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, datetime.timedelta):
        return duration_text(to_ns(value))
    return f"a {type(value).__name__}"


def _number(value: Any, want: str = "a number") -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{_show(value)} is not {want}")
    try:
        f = float(value)
    except OverflowError:
        raise ValueError(f"{value} is not {want}") from None
    if not math.isfinite(f):
        raise ValueError(f"{f} is not a finite number")
    return f


def _duration(value: Any) -> datetime.timedelta:
    if isinstance(value, datetime.timedelta):
        return value
    if isinstance(value, str):
        return datetime.timedelta(microseconds=parse_duration(value) / 1000)
    ns = _number(value, "a duration such as 250ms or 5s") * 1e9
    if abs(ns) >= 1 << 63:
        raise ValueError(f"{value} s is too long")
    return datetime.timedelta(microseconds=int(ns) / 1000)


def option(
    default: Any,
    description: str = "",
    *,
    min: Any = None,
    max: Any = None,
    choices: Sequence[str] = (),
    secret: bool = False,
    name: str = "",
) -> Any:
    """Declare a setting, as a class attribute or in ``capsule(options={...})``.

    Its type follows from the default: ``0.5`` float, ``3`` int, ``True`` bool, ``"text"`` str,
    ``["a"]`` list of str, ``timedelta`` duration; with ``choices``, or a default that is a member
    of an enum.Enum with str values, an enum; with ``secret`` a text that is never shown. Limits
    are inclusive; those of a duration are seconds or timedeltas.
    """
    kind = None
    if isinstance(default, enum.Enum):
        kind = type(default)
        choices = [m.value for m in kind]
    if secret:
        t = "secret"
    elif choices:
        t = "enum"
    elif isinstance(default, bool):
        t = "bool"
    elif isinstance(default, int):
        t = "int"
    elif isinstance(default, float):
        t = "float"
    elif isinstance(default, str):
        t = "str"
    elif isinstance(default, (list, tuple)):
        t, default = "list", list(default)
    elif isinstance(default, datetime.timedelta):
        t = "duration"
    else:
        raise CapsuleError(f"option: {name}: no type follows from the default {default!r}")
    o = Option(name, t, default, description, min=min, max=max, choices=choices)
    o.enum = kind
    return o


class Options(Mapping[str, Any]):
    """The complete settings of a stream: ``options["side"]`` or ``options.side``. Read-only."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]):
        object.__setattr__(self, "_values", dict(values))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "_values")[name]
        except KeyError:
            raise AttributeError(f"there is no option {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("options are read-only; the engine sets them")

    def __iter__(self) -> typing.Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Options({self._values!r})"
