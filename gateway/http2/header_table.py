"""What a header block refers to (HPACK, RFC 7541): the table of fields, and the Huffman code.

The constants are the `hpack` library's; the code is ours, because it runs with every call of a client that gives its
calls deadlines: each of them brings a new field, and so changes the table.
"""

from __future__ import annotations

from typing import Final

from hpack.exceptions import HPACKError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE
from hpack.table import HeaderTable as Constants

from oarlock.gateway.http2.headers import Field, field_bytes

MAX_TABLE_BYTES: Final = 4096
"""The protocol's own size (section 6.5.2 of RFC 9113); we never announce another."""

STATIC_FIELDS: Final[tuple[Field, ...]] = tuple(Constants.STATIC_TABLE)
FIRST_DYNAMIC: Final = len(STATIC_FIELDS) + 1
_TRANSITIONS: Final[list[tuple[int, int, int]]] = list(HUFFMAN_TABLE)
"""The next state, flags and a byte, by 16 times the state and four bits."""
_COMPLETE: Final = int(HUFFMAN_COMPLETE)
_EMIT: Final = int(HUFFMAN_EMIT_SYMBOL)
_FAIL: Final = int(HUFFMAN_FAIL)


class HeaderTable:
    """The fields that a block can name by an index: the static ones, and behind them those that were added, the newest
    first (section 2.3.3).

    Invariant: what was added has, by `field_bytes`, at most the limit's bytes; the oldest make room for the newest.
    """

    __slots__ = ("_added", "_limit_bytes", "_size_bytes")

    def __init__(self) -> None:
        self._added: list[Field] = []  # the newest last
        self._limit_bytes = MAX_TABLE_BYTES
        self._size_bytes = 0

    def field(self, index: int) -> Field:
        """The field at ``index``, counted from 1.

        Raises:
            HPACKError: there is none.
        """
        if 0 < index < FIRST_DYNAMIC:
            return STATIC_FIELDS[index - 1]
        age = index - FIRST_DYNAMIC
        if not 0 <= age < len(self._added):
            raise HPACKError(f"index {index} is not in the table")
        return self._added[len(self._added) - 1 - age]

    def add(self, field: Field) -> None:
        """Adds ``field``, where it is not longer than the whole table may be; the table is empty then (section 4.4)."""
        self._added.append(field)
        self._size_bytes += field_bytes(field)
        self._make_room()

    def limit(self, size_bytes: int) -> None:
        """The table has at most ``size_bytes`` from now on (section 4.3).

        Raises:
            HPACKError: that is more than we allow.
        """
        if size_bytes > MAX_TABLE_BYTES:
            raise HPACKError(f"table size {size_bytes} is above {MAX_TABLE_BYTES}")
        self._limit_bytes = size_bytes
        self._make_room()

    def _make_room(self) -> None:
        oldest = 0
        while self._size_bytes > self._limit_bytes:
            self._size_bytes -= field_bytes(self._added[oldest])
            oldest += 1
        if oldest:
            del self._added[:oldest]


def decode_huffman(coded: bytes) -> bytes:
    """The text that ``coded`` stands for.

    Raises:
        HPACKError: it has the end-of-string symbol, or ends inside a symbol.
    """
    text = bytearray()
    state, flags = 0, _COMPLETE
    for byte in coded:
        for bits in (byte >> 4, byte & 15):
            state, flags, symbol = _TRANSITIONS[state * 16 + bits]
            if flags & _EMIT:
                text.append(symbol)
            elif flags & _FAIL:
                raise HPACKError("a string that the Huffman code does not have")
    if not flags & _COMPLETE:
        raise HPACKError("a Huffman string that ends inside a symbol")
    return bytes(text)
