"""Checks of what callers pass: every refusal names the argument, its value and the rule.

A wrong type is a TypeError. A value that no server would take is an ArgumentError, which is a ValueError and, so that
one ``except`` catches what either side refuses, a RequestError.
"""

from __future__ import annotations

import reprlib
from typing import Final

from oarlock.wire.errors import RequestError

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1
MAX_TIMEOUT_S: Final = 86_400.0
"""A day: whoever waits longer has forgotten that he waits."""


class ArgumentError(RequestError, ValueError):
    """An argument whose value cannot be: the message names it and the rule."""


def to_bytes(name: str, value: str | bytes) -> bytes:
    """``value`` as bytes: str in UTF-8, bytes-likes copied.

    Raises:
        TypeError: it is neither str nor bytes-like.
        ArgumentError: it has a lone surrogate, which UTF-8 cannot hold.
    """
    if type(value) is bytes:
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as problem:
            raise ArgumentError(
                f"{name} must be encodable in UTF-8, not {reprlib.repr(value)}: {problem.reason}"
            ) from None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"{name} must be str or bytes, not {type(value).__name__}")


def check_int(name: str, value: int, low: int = 0, high: int = INT64_MAX) -> int:
    """``value`` as a plain int in [low, high].

    Raises:
        TypeError: it is not an int.
        ArgumentError: it is out of bounds.
    """
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= value <= high:
        raise ArgumentError(f"{name} must be from {low} to {high}, not {value}")
    return int(value)


def check_timeout(name: str, value: float) -> float:
    """``value`` as seconds above 0, a day at most.

    Raises:
        TypeError: it is not a number.
        ArgumentError: it is out of bounds.
    """
    if not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 < value <= MAX_TIMEOUT_S:
        raise ArgumentError(f"{name} must be above 0 and at most {MAX_TIMEOUT_S:g} seconds, not {value}")
    return float(value)
