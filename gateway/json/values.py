"""A body cut into its JSON values as it arrives: streams of requests are objects one behind the other."""

from __future__ import annotations

import re
from typing import Final

_SPACE: Final = b" \t\r\n"
_BRACKETS: Final = re.compile(rb'[{\[]+|[}\]]|"')
_STRING_END: Final = re.compile(rb'["\\]')


class ValueTooLongError(Exception):
    """One value is longer than is allowed; never leaves the package."""


class ValueSplitter:
    """Finds where values end by counting brackets outside of strings, each byte looked at once.

    What is no object or array ends with the body, and whether a value is right is for its reader to find out.

    Args:
        max_bytes: of one value.
    """

    __slots__ = ("_begun", "_depth", "_escaped", "_in_string", "_kept", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = bytearray()
        self._begun = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def kept_bytes(self) -> int:
        """Of the value that is under way."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[bytes]:
        """The values that ``data`` completes.

        Raises:
            ValueTooLongError: the one that is under way grows too long.
        """
        values: list[bytes] = []
        start = position = 0
        while True:
            if not self._begun:
                start = position = _skip_space(data, position)
                if position == len(data):
                    return values
                self._begun = True
            end = self._find_end(data, position)
            self._keep(data[start : len(data) if end is None else end])
            if end is None:
                return values
            values.append(self._take())
            position = end

    def end(self) -> bytes:
        """The value that the end of the body cut off, empty if there is none."""
        return self._take()

    def _keep(self, part: bytes) -> None:
        if len(self._kept) + len(part) > self._max_bytes:
            raise ValueTooLongError
        self._kept += part

    def _take(self) -> bytes:
        value, self._kept = bytes(self._kept), bytearray()
        self._begun = self._in_string = self._escaped = False
        self._depth = 0
        return value

    def _find_end(self, data: bytes, position: int) -> int | None:
        """Where the value ends, None if not in ``data``."""
        while position < len(data):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            match = (_STRING_END if self._in_string else _BRACKETS).search(data, position)
            if match is None:
                return None
            position = match.end()
            if self._in_string:
                self._escaped = match[0] == b"\\"
                self._in_string = self._escaped
            elif match[0] == b'"':
                self._in_string = True
            elif match[0][0] in b"{[":
                self._depth += len(match[0])
            else:
                self._depth -= 1
                if self._depth <= 0:
                    return position
        return None


def _skip_space(data: bytes, position: int) -> int:
    while position < len(data) and data[position] in _SPACE:
        position += 1
    return position
