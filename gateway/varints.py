"""Protobuf's variable-length integers, for the messages that are written by hand because they are many."""

from __future__ import annotations

from typing import Final

_ONE_BYTE: Final = tuple(bytes((low,)) for low in range(128))
_TWO_BYTES: Final = tuple(bytes((number & 127 | 128, number >> 7)) for number in range(1 << 14))
TWO_CONTINUED: Final = tuple(bytes((number & 127 | 128, number >> 7 | 128)) for number in range(1 << 14))
"""The two bytes that a varint of three and more begins with, by its low 14 bits."""
_UINT64: Final = (1 << 64) - 1


def varint(number: int) -> bytes:
    """``number`` as a varint; a negative one as int64 has it, in ten bytes.

    >>> varint(5), varint(300), varint(16384), len(varint(-1))
    (b'\\x05', b'\\xac\\x02', b'\\x80\\x80\\x01', 10)
    """
    if 0 <= number < 128:
        return _ONE_BYTE[number]
    if 0 <= number < 1 << 14:
        return _TWO_BYTES[number]
    number &= _UINT64
    return TWO_CONTINUED[number & 0x3FFF] + varint(number >> 14)
