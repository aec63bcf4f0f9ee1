"""Runs capsules that were written for OpenVisionCapsules, as they are.

``capstan capsule import OLD.cap`` makes a folder with ``main.py``, which calls :func:`main`,
``vcap.json``, which says what the old capsule declares, and ``original/`` with its files. The
interface that they import, ``vcap``, is the user's own: nothing of it comes with Capstan.
docs/reference/openvisioncapsules.md says what works.
"""

from __future__ import annotations

import os

from ._declare import DECLARATION, declare, read
from ._host import Host
from ._user import ORIGINAL

__all__ = ["main", "program"]


def program(file: str) -> type:
    """The capsule, as ``@capstan.capsule`` leaves it, whose program is ``file``; nothing of the
    old capsule is run yet. CapsuleError where ``vcap.json`` is not what import wrote."""
    folder = os.path.dirname(os.path.abspath(file))
    d = read(os.path.join(folder, DECLARATION))
    return declare(d, Host(d, os.path.join(folder, ORIGINAL)), os.path.basename(file))


def main(file: str) -> None:
    """What ``main.py`` does; it does not return."""
    import sys

    from .._command import main as run
    from ..faults import CapsuleError

    try:
        code = program(file)
    except CapsuleError as e:
        print(f"capstan: {e}", file=sys.stderr)
        sys.exit(1)
    run(code)
