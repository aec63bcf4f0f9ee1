"""Python's logging as the JSON lines that an engine reads on standard error."""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import threading
import traceback
from typing import Any, Dict, MutableMapping, Tuple

TRACE = 5
logging.addLevelName(TRACE, "TRACE")

_LEVELS = {"trace": TRACE, "debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR, "off": logging.CRITICAL + 10}

# An engine keeps 16 KiB of a line.
_MOST = 12 << 10

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _level(number: int) -> str:
    for name in ("error", "warn", "info", "debug"):
        if number >= _LEVELS[name]:
            return name
    return "trace"


class Handler(logging.Handler):
    """Writes each record as one JSON line; what is in ``extra`` becomes fields of it."""

    def __init__(self, fd: int = 2):
        super().__init__()
        self.fd = fd

    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(self.fd, self.line(record))
        except Exception:  # standard error is gone; there is nobody to tell
            pass

    def line(self, record: logging.LogRecord) -> bytes:
        when = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        m: Dict[str, Any] = {
            "@level": _level(record.levelno),
            "@message": record.getMessage()[:_MOST],
            "@timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        if record.name not in ("root", "capstan"):
            m["@module"] = record.name
        for key, value in vars(record).items():
            if key not in _STANDARD and not key.startswith("_"):
                m[key] = value if isinstance(value, (str, int, float, bool, type(None))) else str(value)[:_MOST]
        if record.exc_info and record.exc_info[1] is not None:
            e = record.exc_info[1]
            m.setdefault("error", " ".join(f"{type(e).__name__}: {e}".split())[:1000])
            m["stack"] = "".join(traceback.format_exception(*record.exc_info))[-_MOST:]
        return json.dumps(m, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"


class Log(logging.LoggerAdapter):  # type: ignore[type-arg]
    """The log of a capsule or stream. Keywords become fields: ``log.info("loaded", model=path)``."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> Tuple[Any, MutableMapping[str, Any]]:
        extra = dict(self.extra or {})
        extra.update(kwargs.pop("extra", None) or {})
        for key in [k for k in kwargs if k not in ("exc_info", "stack_info", "stacklevel")]:
            name = key + "_" if key in _STANDARD else key
            extra[name] = kwargs.pop(key)
        kwargs["extra"] = extra
        return msg, kwargs

    def trace(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.log(TRACE, msg, *args, **kwargs)

    def named(self, **fields: Any) -> "Log":
        """A log with further fields."""
        return Log(self.logger, {**(self.extra or {}), **fields})


def open_log(level: str) -> Log:
    """Send the logging of this process to the engine; level is that of the environment."""
    root = logging.getLogger()
    for h in list(root.handlers):
        root.removeHandler(h)
    root.addHandler(Handler())
    number = _LEVELS.get(level, logging.INFO)
    root.setLevel(number)
    own = logging.getLogger("capstan")
    logging.captureWarnings(True)
    log = Log(own, {})

    def uncaught(kind: Any, value: Any, tb: Any) -> None:
        if not issubclass(kind, SystemExit):
            log.error("the capsule's code failed", exc_info=(kind, value, tb))

    sys.excepthook = uncaught
    threading.excepthook = lambda a: uncaught(a.exc_type, a.exc_value, a.exc_traceback)
    return log


def null_log() -> Log:
    """A log for tests: Python's own, under the name capstan."""
    return Log(logging.getLogger("capstan"), {})
