"""Protobuf's variable-length integers, for the messages that are written by hand because they are many."""

from __future__ import annotations

from typing import Final

_ONE_BYTE: Final = tuple(bytes((low,)) for low in range(128))
_TWO_BYTES: Final = tuple(bytes((number & 127 | 128, number >> 7)) for number in range(1 << 14))
_CONTINUED: Final = tuple(bytes((low | 128,)) for low in range(128))
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
    head = b""
    while number >= 1 << 14:
        head += _CONTINUED[number & 127]
        number >>= 7
    return head + (_TWO_BYTES[number] if number >= 128 else _ONE_BYTE[number])
