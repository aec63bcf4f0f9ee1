"""What the user brings: the package vcap, and the files of an old capsule."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any, Iterable, List

from ..faults import CAPSULE_FAILED, UNSUPPORTED, CapsuleError, one_line

ORIGINAL = "original"
"""The folder with the old capsule's files."""


def version_of(vcap: Any) -> str:
    """The version of the user's package, "" where it does not say."""
    text = getattr(vcap, "__version__", "")
    if isinstance(text, str) and text:
        return text
    try:
        from importlib.metadata import version

        return version("vcap")
    except Exception:
        return ""


# An editable install lies in a folder of the user's, which a cage does not have.
_ALLOW = "install it without -e, or allow its folder: capstan capsule import --file"


def refused(folders: Iterable[str]) -> str:
    """The first of the folders that has the package and does not let it be read; "" for none."""
    for folder in folders:
        file = os.path.join(folder or ".", "vcap", "__init__.py")
        try:
            if os.path.isfile(file):
                with open(file, "rb"):
                    pass
        except PermissionError:
            return folder or "."
        except OSError:
            pass
    return ""


def package() -> Any:
    """The user's package vcap; CapsuleError says how to install it, and for which interpreter."""
    spec = importlib.util.find_spec("vcap")
    if spec is None or spec.origin is None:  # None too for a mere folder of that name
        away = refused(sys.path)
        if away:
            raise CapsuleError(f"the package vcap of {sys.executable} lies in {away}, which isolation refuses to read: {_ALLOW} {away}", UNSUPPORTED)
        raise CapsuleError(
            f"the package vcap, which capsules for OpenVisionCapsules are written for, is not installed for {sys.executable}: "
            f"{sys.executable} -m pip install vcap vcap_utils, or name the interpreter that has it in CAPSTAN_PYTHON",
            UNSUPPORTED,
        )
    try:
        vcap = importlib.import_module("vcap")
    except BaseException as e:  # SystemExit too: it is foreign code
        hint = ""
        if isinstance(e, ModuleNotFoundError) and e.name and e.name.split(".")[0] != "vcap":
            hint = f"; it needs {e.name}: {sys.executable} -m pip install {e.name.split('.')[0]}"
        elif isinstance(e, PermissionError):
            hint = f"; {_ALLOW} {os.path.dirname(os.path.dirname(spec.origin))}"
        raise CapsuleError(f"the package vcap of {sys.executable} ({spec.origin}) cannot be imported: {one_line(e)}{hint}", UNSUPPORTED) from e
    lacking = [n for n in ("load_capsule_from_bytes", "DetectionNode", "NodeDescription", "BaseStreamState") if not hasattr(vcap, n)]
    if lacking:
        raise CapsuleError(f"the package vcap of {sys.executable} ({spec.origin}) is another one: it lacks {', '.join(lacking)}", UNSUPPORTED)
    return vcap


def names(folder: str) -> List[str]:
    """The files of an old capsule in order, with /, folders too, with a / at the end."""
    found = []
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        at = os.path.relpath(base, folder).replace(os.sep, "/")
        prefix = "" if at == "." else at + "/"
        if prefix:
            found.append(prefix)
        found += [prefix + f for f in sorted(files) if not f.endswith(".pyc")]
    return found


def zipped(folder: str) -> bytes:
    """The folder as a package of the old format: stored, with entries for folders, which its
    loader takes for packages of Python. The same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name in names(folder):
            info = zipfile.ZipInfo(name)
            if name.endswith("/"):
                z.writestr(info, b"")
                continue
            with open(os.path.join(folder, name), "rb") as f:
                z.writestr(info, f.read())
    return out.getvalue()


def load(vcap: Any, folder: str, work: bool) -> Any:
    """The old capsule's object, made by the user's own loader; with work its backends are made
    too. CapsuleError with the loader's words."""
    try:
        return vcap.load_capsule_from_bytes(data=zipped(folder), source_path=Path(folder), inference_mode=work)
    except BaseException as e:  # SystemExit too
        cause = e
        while cause.__cause__ is not None or cause.__context__ is not None:
            cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
        hint = ""
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            hint = f": {sys.executable} -m pip install {cause.name.split('.')[0]}, or whatever brings it"
        raise CapsuleError(f"the capsule cannot be loaded: {one_line(e)}{hint}", CAPSULE_FAILED) from e
