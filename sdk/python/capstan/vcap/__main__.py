"""``python3 -m capstan.vcap REQUEST ANSWER``: what capstan capsule import asks.

The request is JSON: ``folder`` with the files of an old capsule, ``mode`` "scan" (nothing of it is
run), "declare" (its code is run, no backend is made) or "load", ``metric`` and ``needs``. The
answer is written as JSON: findings, declaration and manifest, or an error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Dict, List, Mapping

from .. import manifest
from ..faults import CapsuleError, one_line
from . import _scan, _user
from ._declare import declare, of
from ._host import Host
from ._scan import CANNOT, LIMITS, WORKS, Finding


def answer(request: Mapping[str, Any]) -> Dict[str, Any]:
    """What is to be said of a capsule."""
    out: Dict[str, Any] = {"python": sys.executable, "version": "%d.%d.%d" % sys.version_info[:3], "findings": []}
    found, words = _scan.scan(request["folder"], request["needs"])
    try:
        if request["mode"] != "scan":
            _read(request, out, found, words)
    except CapsuleError as e:
        out["error"] = str(e)
    order = {CANNOT: 0, LIMITS: 1, WORKS: 2}
    out["findings"] = [f._asdict() for f in sorted(dict.fromkeys(found), key=lambda f: order[f.level])]
    return out


def _read(request: Mapping[str, Any], out: Dict[str, Any], found: List[Finding], words: Any) -> None:
    vcap = _user.package()
    out["vcap"] = _user.version_of(vcap)
    out["vcap_path"] = getattr(vcap, "__file__", "") or ""
    c = _user.load(vcap, request["folder"], work=False)
    try:
        needs = dict(request["needs"])
        _devices(vcap, c, needs, found)
        _state(c, found)

        def say(level: str, words: str) -> None:
            found.append(Finding(level, "declaration", words))

        metric = request["metric"] or _scan.metric(words) or ""
        d = of(c, vcap, metric, needs, say)
        if d["metric"]:
            seen = "as given" if request["metric"] else "as its code says" if metric else "which is a guess: give the right one by import --metric"
            found.append(Finding(LIMITS, "distances", f"its encodings are compared by the engine, by {d['metric']} distance, {seen}; its own distances is not called"))
        out["declaration"] = d
        out["manifest"] = manifest.encode(declare(d, Host(d, ""), "main.py").__capsule__)  # type: ignore[attr-defined]
    except CapsuleError:
        raise
    except Exception as e:  # foreign objects may do anything
        raise CapsuleError(f"its declaration cannot be read: {one_line(e)}") from e
    finally:
        c.close()
    if request["mode"] == "load":
        _try(vcap, request["folder"], out, found)


def _devices(vcap: Any, c: Any, needs: Dict[str, Any], found: List[Finding]) -> None:
    """What the mapper would take on machines with and without a GPU."""

    def map_(*devices: str) -> List[str]:
        try:
            return list(c.device_mapper.filter_func(list(devices)))
        except Exception:  # no device for it
            return []

    cpu, gpu = map_("CPU:0"), map_("CPU:0", "GPU:0", "GPU:1")
    wants = any("GPU" in d for d in gpu)
    if wants:
        needs["devices"] = sorted({*needs.get("devices", ()), "/dev/dri/*", "/dev/nvidia*"})
    if not cpu:
        found.append(Finding(LIMITS, "devices", "its device mapper takes no CPU: it works on machines with its device only, which the manifest lets it use (/dev/nvidia*, /dev/dri/*)"))
    elif wants:
        found.append(Finding(LIMITS, "devices", f"its device mapper prefers GPUs ({', '.join(gpu)}) and takes {', '.join(cpu)} where there are none; the manifest lets it use /dev/nvidia* and /dev/dri/*"))


def _state(c: Any, found: List[Finding]) -> None:
    try:
        c.stream_state()
    except Exception as e:
        found.append(Finding(CANNOT, "state", f"its stream_state cannot be made: {one_line(e)}"))


def _try(vcap: Any, folder: str, out: Dict[str, Any], found: List[Finding]) -> None:
    """Make the backends once, as a run would."""
    began = time.monotonic()
    try:
        c = _user.load(vcap, folder, work=True)
    except CapsuleError as e:
        found.append(Finding(CANNOT, "backends", str(e)))
        return
    out["load_seconds"] = round(time.monotonic() - began, 3)
    out["backends"] = [type(b).__name__ for b in getattr(c, "backends", None) or ()]
    words = f"its backends are made: {', '.join(out['backends'])}, in {out['load_seconds']:.1f} s"
    found.append(Finding(WORKS, "backends", words))
    try:
        c.close()
    except Exception as e:
        found.append(Finding(LIMITS, "backends", f"its backends cannot be closed: {one_line(e)}; they end with their process"))


def main() -> int:
    if len(sys.argv) != 3:
        print("python3 -m capstan.vcap REQUEST ANSWER", file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as f:
        request = json.load(f)
    text = json.dumps(answer(request), ensure_ascii=False)
    part = sys.argv[2] + ".part"
    with open(part, "w", encoding="utf-8", errors="replace") as f:
        f.write(text)
    os.replace(part, sys.argv[2])
    sys.stdout.flush()
    os._exit(0)  # no thread of a backend keeps it alive


if __name__ == "__main__":
    sys.exit(main())
