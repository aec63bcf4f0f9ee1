"""The declaration of an old capsule: read from its object, kept as JSON, declared again."""

from __future__ import annotations

import enum
import json
import math
import numbers
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ..declare import Description, Needs, capsule
from ..faults import CAPSULE_CONTRACT, CapsuleError
from ..options import Option

DECLARATION = "vcap.json"
"""The file with what the old capsule declares."""

FORMAT = 1

BATCH = 40
"""Frames or nodes that run side by side, which is what a batch of vcap holds."""

SECRET = re.compile(r"(^|_)(api_?key|password|passwd|secret|token)$", re.I)

_SIZES = ("none", "single", "all")

Say = Callable[[str, str], None]  # level, words


def text(value: Any) -> str:
    """A value of an attribute as text: most are."""
    if isinstance(value, enum.Enum):
        value = value.value
    return value if isinstance(value, str) else str(value)


def size_of(description: Any) -> str:
    size = getattr(description, "size", None)
    name = getattr(size, "name", "").lower()
    if name not in _SIZES:
        raise CapsuleError(f"size {size!r} is not one of NONE, SINGLE, ALL", CAPSULE_CONTRACT)
    return str(name)


def description_of(d: Any, say: Optional[Say] = None, what: str = "") -> Dict[str, Any]:
    """A NodeDescription as JSON; attributes keep their order."""
    attributes = []
    for name, values in (getattr(d, "attributes", None) or {}).items():
        listed = list(dict.fromkeys(text(v) for v in values))
        if listed:
            attributes.append([text(name), listed])
        elif say:
            say("limits", f"{what}: the category {name!r} has no values and is left out of the declaration")
    return {
        "size": size_of(d),
        "detections": list(dict.fromkeys(text(c) for c in getattr(d, "detections", None) or ())),
        "attributes": attributes,
        "encoded": bool(getattr(d, "encoded", False)),
        "tracked": bool(getattr(d, "tracked", False)),
        "extra_data": list(dict.fromkeys(text(k) for k in getattr(d, "extra_data", None) or ())),
    }


def _limit(value: Any) -> Optional[float]:
    return float(value) if isinstance(value, numbers.Real) and math.isfinite(value) else None


def option_of(key: str, o: Any, say: Say) -> Dict[str, Any]:
    """An option as JSON. Its class is known by name and by what it has, so that options of other
    editions of vcap are understood."""
    kinds = [c.__name__ for c in type(o).__mro__]
    default = getattr(o, "default", None)
    if isinstance(default, enum.Enum):
        default = default.value
    out: Dict[str, Any] = {"key": key, "name": re.sub(r"[^A-Za-z0-9_]", "_", key), "description": (getattr(o, "description", None) or "").strip()}
    if out["name"] != key:
        say("limits", f"option {key!r} is called {out['name']} here: names have letters, digits and _")
    if "BoolOption" in kinds or isinstance(default, bool):
        out.update(type="bool", default=bool(default))
    elif "EnumOption" in kinds or getattr(o, "choices", None):
        out.update(type="enum", default=text(default), choices=list(dict.fromkeys(text(c) for c in o.choices)))
    elif "FloatOption" in kinds or isinstance(default, float):
        if not math.isfinite(default):
            raise CapsuleError(f"option {key}: the default {default} is no number", CAPSULE_CONTRACT)
        out.update(type="float", default=float(default), min=_limit(getattr(o, "min_val", None)), max=_limit(getattr(o, "max_val", None)))
    elif "IntOption" in kinds or isinstance(default, int):
        out.update(type="int", default=int(default), min=_limit(getattr(o, "min_val", None)), max=_limit(getattr(o, "max_val", None)))
    elif isinstance(default, str) or default is None:
        out.update(type="secret" if SECRET.search(key) else "str", default=default or "")
        if out["type"] == "secret":
            say("works", f"option {key} is treated as a secret, because of its name: nothing shows its value")
    elif isinstance(default, (list, tuple)):
        out.update(type="list", default=[text(v) for v in default])
    else:
        raise CapsuleError(f"option {key} is a {type(o).__name__} with the default {default!r}, of which no type follows", CAPSULE_CONTRACT)
    return out


def of(c: Any, vcap: Any, metric: str, needs: Mapping[str, Any], say: Say) -> Dict[str, Any]:
    """What the object of an old capsule declares, as JSON. CapsuleError for what nothing can be
    made of."""
    needs_type, gives = c.input_type, c.output_type
    d: Dict[str, Any] = {
        "format": FORMAT,
        "name": c.name,
        "version": str(int(c.version)),
        "description": " ".join((c.description or "").split()),
        "input": description_of(needs_type, say, "input_type"),
        "output": description_of(gives, say, "output_type"),
        "options": [option_of(k, o, say) for k, o in (c.options or {}).items()],
        "stateful": c.stream_state is not vcap.BaseStreamState,
        "metric": "",
        "needs": dict(needs),
    }
    if d["output"]["size"] == "none":
        raise CapsuleError("output_type has the size NONE: it gives nothing", CAPSULE_CONTRACT)
    if d["input"]["size"] == "none" and any(d["input"][k] for k in ("detections", "attributes", "encoded", "tracked", "extra_data")):
        say("limits", "input_type has the size NONE and asks for nodes; what it asks of them is left out")
        d["input"] = {"size": "none", "detections": [], "attributes": [], "encoded": False, "tracked": False, "extra_data": []}
    if d["output"]["encoded"] and not d["input"]["encoded"]:
        d["metric"] = metric or "euclidean"
        for o in d["options"]:
            if o["name"] == "recognition_threshold" and o["type"] == "int":
                o.update(type="float", default=float(o["default"]))
    return d


def same(imported: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What the declaration of the code has that was not imported; "" when they are the same."""
    for key in ("name", "version", "input", "output", "options", "stateful"):
        if imported[key] != now[key]:
            return f"{key} is {json.dumps(now[key], ensure_ascii=False)[:200]} and was {json.dumps(imported[key], ensure_ascii=False)[:200]}"
    return ""


def read(path: str) -> Dict[str, Any]:
    """The declaration that import wrote."""
    try:
        with open(path, encoding="utf-8") as f:
            d = json.load(f)
        if d["format"] != FORMAT:
            raise CapsuleError(f"{path}: it is of format {d['format']}, and this is {FORMAT}; import the capsule again")
        for key in ("name", "version", "description", "input", "output", "options", "stateful", "metric", "needs"):
            d[key]
        return dict(d)
    except OSError as e:
        raise CapsuleError(f"{path}: {e.strerror}; capstan capsule import writes it") from None
    except (ValueError, KeyError, TypeError) as e:
        raise CapsuleError(f"{path}: it is not what capstan capsule import writes: {e}") from None


def batched(d: Mapping[str, Any]) -> bool:
    """Whether the capsule is given several frames, or nodes, at a time."""
    return not d["stateful"] or d["input"]["size"] == "single"


def declare(d: Mapping[str, Any], host: Any, entry: str) -> type:
    """The capsule of a declaration, whose work host does."""
    from ._host import shell

    return capsule(  # type: ignore[no-any-return]
        name=d["name"], version=d["version"], description=d["description"],
        input=_description(d["input"]), output=_description(d["output"]),
        options={o["name"]: _option(o) for o in d["options"]},
        formats=["BGR"], stateful=d["stateful"], metric=d["metric"], needs=Needs(**d["needs"]),
        batch=BATCH if batched(d) else 0, entry=entry,
    )(shell(host))  # fmt: skip


def _description(d: Mapping[str, Any]) -> Description:
    attributes = {n: tuple(v) for n, v in d["attributes"]}
    return Description(d["size"], tuple(d["detections"]), attributes, d["encoded"], d["tracked"], tuple(d["extra_data"]))


def _option(o: Mapping[str, Any]) -> Option:
    return Option(o["name"], o["type"], o["default"], o["description"], min=o.get("min"), max=o.get("max"), choices=o.get("choices", ()))


def keys(d: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """The options by our name and by the old capsule's."""
    return [(o["name"], o["key"]) for o in d["options"]]
