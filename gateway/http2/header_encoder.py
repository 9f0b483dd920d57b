"""Header lists to header blocks, for a server whose answers are nearly all alike.

A few fields, named when the encoder is made, go into the peer's dynamic table when they are first used, and are one
byte from then on. Nothing else is ever put there, so their indexes settle at once, and whole blocks can be kept::

    first answer    88  5f 10 "application/grpc"     :status 200, content-type (added to the table)
    every other     88  be                           the same in two bytes

Any other field is a literal without indexing. No Huffman code: what is left to save is a dozen bytes of an error text.
"""

from __future__ import annotations

from typing import Final

from hpack.hpack import encode_integer

from oarlock.gateway.http2.faults import MisuseError
from oarlock.gateway.http2.header_table import FIRST_DYNAMIC, MAX_TABLE_BYTES, STATIC_FIELDS
from oarlock.gateway.http2.headers import Field, Fields, field_bytes

_STATIC: Final[dict[Field, int]] = {field: index for index, field in enumerate(STATIC_FIELDS, 1)}
_STATIC_NAMES: Final[dict[bytes, int]] = {field[0]: index for field, index in reversed(list(_STATIC.items()))}
_KEPT_BLOCKS: Final = 16
"""More than there are combinations of the fields that any server would name."""


class HeaderEncoder:
    """The encoding half of a connection's HPACK state.

    Invariant: blocks are sent in the order in which they were encoded, since one may add what the next refers to.

    Args:
        remembered: fields worth a place in the peer's table; together at most 4,096 bytes there.

    Raises:
        MisuseError: they are more than that.
    """

    __slots__ = ("_added", "_blocks", "_prefix", "_remembered")

    def __init__(self, remembered: Fields = ()) -> None:
        if sum(map(field_bytes, remembered)) > MAX_TABLE_BYTES:
            raise MisuseError(f"the remembered fields do not fit into {MAX_TABLE_BYTES} bytes")
        self._remembered = frozenset(remembered)
        self._added: list[Field] = []
        self._blocks: dict[Fields, bytes] = {}
        self._prefix = b""

    def limit_table(self, size: int) -> None:
        """Takes the peer's SETTINGS_HEADER_TABLE_SIZE. Below HTTP/2's default, the table is given up for good."""
        if size < MAX_TABLE_BYTES and self._remembered:
            self._remembered = frozenset()
            self._added.clear()
            self._blocks.clear()
            self._prefix = b"\x20"  # "the table's size is 0 from here on" (RFC 7541 section 6.3)

    def encode(self, fields: Fields) -> bytes:
        """The block for ``fields`` (names in lower case), to be sent before any that is encoded later."""
        block = self._blocks.get(fields)
        if block is not None:
            return block
        added_before = len(self._added)
        block = b"".join([self._field(field) for field in fields])
        if self._prefix:
            block, self._prefix = self._prefix + block, b""
        elif len(self._added) != added_before:
            self._blocks.clear()  # the indexes of what was added earlier have moved
        elif len(self._blocks) < _KEPT_BLOCKS and all(one in _STATIC or one in self._remembered for one in fields):
            self._blocks[fields] = block
        return block

    def _field(self, field: Field) -> bytes:
        if (index := _STATIC.get(field)) is not None:
            return bytes(_integer(index, 7, 0x80))
        if field in self._added:
            newest_first = len(self._added) - 1 - self._added.index(field)
            return bytes(_integer(FIRST_DYNAMIC + newest_first, 7, 0x80))
        if field in self._remembered:
            self._added.append(field)
            return _literal(field, 6, 0x40)
        return _literal(field, 4, 0x00)


def _literal(field: Field, prefix_bits: int, pattern: int) -> bytes:
    name, value = field
    index = _STATIC_NAMES.get(name, 0)
    head = _integer(index, prefix_bits, pattern)
    return bytes(head + (b"" if index else _string(name)) + _string(value))


def _string(text: bytes) -> bytes:
    return bytes(encode_integer(len(text), 7)) + text


def _integer(number: int, prefix_bits: int, pattern: int) -> bytearray:
    encoded = encode_integer(number, prefix_bits)
    encoded[0] |= pattern
    return encoded
