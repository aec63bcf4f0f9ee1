"""Finds model files on this machine."""

from __future__ import annotations

import os
import sys
from typing import Iterator, List, Union

from .declare import Model
from .faults import CapsuleError

__all__ = ["model"]

# The bounds of a search, so that a wrong folder (a home, a root) does not take minutes.
_DEPTH = 8
_FILES = 50_000


def folders() -> List[str]:
    """Where models are looked for, first to last: the folders of $CAPSTAN_MODELS, ``models`` beside
    the program, the program's folder, and the cache's."""
    found = [f for f in os.environ.get("CAPSTAN_MODELS", "").split(os.pathsep) if f]
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main:
        folder = os.path.dirname(os.path.abspath(main))
        found += [os.path.join(folder, "models"), folder]
    cache = os.environ.get("CAPSTAN_CACHE")
    if not cache:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        cache = os.path.join(home, "capstan")
    return found + [os.path.join(cache, "models")]


def model(wanted: Union[str, Model], given: str = "") -> str:
    """The path of a model file. ``given``, usually an option of the capsule, is the path itself when
    it is not empty. CapsuleError says where it was looked for."""
    name = wanted.file if isinstance(wanted, Model) else wanted
    if given:
        if not os.path.isfile(given):
            raise CapsuleError(f"model: {given} is not there")
        return given
    for folder in folders():
        for path in _search(folder):
            if os.path.basename(path) == name:
                return path
    raise CapsuleError(
        f"model: {name} is not in {', '.join(folders())} (fetch it by: capstan models pull; or name its folder in CAPSTAN_MODELS)"
    )


def _search(folder: str) -> Iterator[str]:
    seen = 0
    root_depth = folder.rstrip(os.sep).count(os.sep)
    for at, folders_here, files in os.walk(folder):
        folders_here[:] = sorted(d for d in folders_here if not d.startswith("."))
        if at.rstrip(os.sep).count(os.sep) - root_depth >= _DEPTH:
            folders_here.clear()
        for f in sorted(files):
            seen += 1
            if seen > _FILES:
                return
            yield os.path.join(at, f)
