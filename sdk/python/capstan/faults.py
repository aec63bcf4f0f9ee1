"""Errors with a kind that an engine understands."""

from __future__ import annotations

__all__ = ["CapsuleError", "ExpiredError", "FormatError"]

# Kinds of the wire, as core/fault.go numbers them.
INVALID = 100
NOT_FOUND = 101
EXISTS = 102
CANCELLED = 104
CAPSULE_CONTRACT = 305
CAPSULE_FAILED = 306
UNSUPPORTED = 401
EXHAUSTED = 402
CLOSED = 403


class CapsuleError(Exception):
    """Something is wrong with a declaration, a setting or a message. ``kind`` is its number on the wire."""

    def __init__(self, message: str, kind: int = INVALID):
        super().__init__(message)
        self.kind = kind


class FormatError(CapsuleError):
    """A picture was asked for in a form that its format does not have."""


class ExpiredError(CapsuleError):
    """A frame, or a view of its pixels, was used after the call for which it was given."""


def one_line(error: BaseException) -> str:
    """The type and message of an error on one line, as it is reported to the engine."""
    words = " ".join(str(error).split())
    if isinstance(error, CapsuleError):
        return words
    name = type(error).__name__
    return f"{name}: {words}" if words else name
