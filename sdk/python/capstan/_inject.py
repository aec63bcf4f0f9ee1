"""Author's code names what it wants; here it is found out and given."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Sequence, Tuple

from .faults import CapsuleError


def wanted(code: Callable[..., Any], known: Sequence[str], what: str, method: bool = False) -> Tuple[str, ...]:
    """The names of the parameters of code, all of them known; CapsuleError names one that is not.

    A method's first parameter is left out. Parameters with defaults that are not known are left
    alone.
    """
    try:
        parameters = list(inspect.signature(code).parameters.values())
    except (TypeError, ValueError):
        return ()
    names = []
    for p in parameters[1 if method else 0 :]:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        if p.name in known and p.kind is not p.POSITIONAL_ONLY:
            names.append(p.name)
        elif p.default is p.empty:
            raise CapsuleError(f"{what} asks for {p.name!r}; it can be given: {', '.join(known)}")
    return tuple(names)


PROCESS = ("frame", "nodes", "node", "options", "log")
FUNCTION = PROCESS + ("state",)
BATCH = ("frames", "options", "log")
OPEN = ("options", "log", "stream")
CONFIGURE = ("options",)
LOAD = ("log",)
