"""What a capsule does when it is started: it serves an engine, or says what it is."""

from __future__ import annotations

import os
import sys
from typing import Any, List

from . import manifest
from .declare import Capsule, text_of
from .faults import CapsuleError

__all__ = ["main"]


def find(code: Any) -> Capsule:
    """The declaration of code; of the one capsule of the program when code is None."""
    if code is not None:
        c = code if isinstance(code, Capsule) else getattr(code, "__capsule__", None)
        if not isinstance(c, Capsule):
            raise CapsuleError(f"{code!r} is no capsule: put @capstan.capsule(…) above it")
        return c
    found: List[Capsule] = []
    for value in list(vars(sys.modules["__main__"]).values()):
        c = getattr(value, "__capsule__", None)
        if isinstance(c, Capsule) and c not in found:
            found.append(c)
    if not found:
        raise CapsuleError("the program has no capsule: put @capstan.capsule(…) above a class or function")
    if len(found) > 1:
        raise CapsuleError(f"the program has {len(found)} capsules ({', '.join(c.name for c in found)}); name one: capstan.main(…)")
    return found[0]


def main(code: Any = None) -> None:
    """The last line of a capsule's program: ``capstan.main()``. It does not return.

    Started by an engine, it serves. By hand there are ``manifest`` (prints capsule.yaml, or
    writes it: ``manifest capsule.yaml``) and ``describe``.
    """
    from . import _pool, _serve

    engine = os.environ.get(_serve.COOKIE_ENV) == _serve.COOKIE
    try:
        c = find(code)
    except CapsuleError as e:
        print(f"capstan: {e}", file=sys.stderr)
        sys.exit(1)
    if engine and os.environ.get(_pool.WORKER_ENV):
        _pool.work(c)
    elif engine:
        _serve.serve(c)
    sys.exit(command(c, sys.argv[1:]))


def command(c: Capsule, args: List[str], out: Any = None, errs: Any = None) -> int:
    """What a person asks; gives the exit status."""
    out, errs = out or sys.stdout, errs or sys.stderr
    try:
        if args == ["manifest"]:
            out.write(manifest.encode(c))
        elif len(args) == 2 and args[0] == "manifest":
            text = manifest.encode(c)
            with open(args[1], "w", encoding="utf-8") as f:
                f.write(text)
        elif args == ["describe"]:
            out.write(describe(c))
        else:
            program = os.path.basename(sys.argv[0]) or c.entry
            errs.write(
                f"{c.name} is a Capstan capsule: a part that an engine starts to look at video frames. {c.description}\n"
                f"To see it work: capstan run VIDEO --capsules FOLDER --only {c.name}. By itself it can say what it is: "
                f"python3 {program} describe, or print its manifest: python3 {program} manifest (to a file: manifest capsule.yaml).\n"
            )
            return 2
    except (CapsuleError, OSError) as e:
        errs.write(f"{c.name}: {e}\n")
        return 1
    return 0


def describe(c: Capsule) -> str:
    """The declaration for a person."""
    c.validate()
    rows = [("needs", str(c.input)), ("gives", str(c.output)), ("pixels", _pixels(c))]
    if c.stateful:
        rows.append(("state", "kept for each stream: frames come one at a time and in order"))
    else:
        rows.append(("state", "none"))
    if c.workers:
        rows.append(("workers", f"{c.workers} processes"))
    if c.batch:
        rows.append(("batch", f"up to {c.batch} together"))
    if c.every_n > 1:
        rows.append(("frames", f"every {c.every_n}."))
    gate = [c.gate_class] if c.gate_class else []
    gate += [f"hold {text_of(c.gate_hold_ns)}"] if c.gate_hold_ns else []
    gate += [f"at least every {text_of(c.gate_at_least_ns)}"] if c.gate_at_least_ns else []
    if gate:
        rows.append(("gate", ", ".join(gate)))
    if c.deadline_ns:
        rows.append(("deadline", text_of(c.deadline_ns)))
    if c.metric:
        rows.append(("metric", c.metric))
    text = f"{c.name} {c.version} (capsule contract 1.0)\n{c.description}\n\n" + _table(rows)
    if c.options:
        options = []
        for o in c.options:
            default = "" if o.type == "secret" else o.wire(o.default)
            options.append(("  " + o.name, o.type, str(default), ", ".join(o.choices) or o.limits(), o.description))
        text += "\noptions\n" + _table(options)
    return text


def _pixels(c: Capsule) -> str:
    if not c.formats:
        return "none"
    text = ", ".join(c.formats)
    if c.picture.max_side:
        text += f", longer side at most {c.picture.max_side}"
    elif c.picture.width:
        text += f", {c.picture.width}x{c.picture.height}"
    return text


def _table(rows: Any) -> str:
    rows = list(rows)
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "".join("  ".join(cell.ljust(w) for cell, w in zip(r, widths)).rstrip() + "\n" for r in rows)
