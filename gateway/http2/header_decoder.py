"""Header blocks to header lists (HPACK, RFC 7541), with a cache.

The table and the Huffman code are the `hpack` library's. The loop over a block is ours: the library's copies the rest
of the block for every literal, loses the table when a list is too long, and takes five times as long.

The cache: a block that neither adds to the dynamic table nor resizes it means the same every time, for as long as no
other block changes the table. A client's second call of a method is such a block, of some eight bytes::

    83          86            c2        c1           c0            bf  …
    :method     :scheme http  :path     :authority   content-type  te        all indexed: one dict look-up
"""

from __future__ import annotations

from typing import Final

from hpack.exceptions import HPACKError
from hpack.hpack import decode_integer
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from oarlock.gateway.http2.faults import ConnectionFault
from oarlock.gateway.http2.frames import ErrorCode
from oarlock.gateway.http2.headers import FIELD_OVERHEAD_BYTES, Field, Headers

_CACHED_BLOCKS: Final = 64
"""A client calls a dozen methods; with a token or two that makes a few dozen blocks."""
_CACHED_BLOCK_BYTES: Final = 256
"""Longer blocks carry literals that will not come again."""


class HeaderDecoder:
    """The decoding half of a connection's HPACK state.

    Invariants: every block that arrives goes through `decode`, in order, whatever becomes of its stream; the cache
    holds only blocks whose meaning the present table gives.

    Args:
        max_list_bytes: the longest header list that is kept, counted as in RFC 9113 section 6.5.2.
    """

    __slots__ = ("_cache", "_max_list_bytes", "_table")

    def __init__(self, max_list_bytes: int) -> None:
        self._max_list_bytes = max_list_bytes
        self._table = HeaderTable()
        self._cache: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers:
        """The header list that ``block``, complete, stands for.

        Raises:
            ConnectionFault: it is not HPACK (COMPRESSION_ERROR); the table is lost, and the connection with it.
        """
        cached = self._cache.get(block)
        if cached is not None:
            return cached
        try:
            fields, changed = self._read(block)
        except (HPACKError, IndexError) as error:  # an index past the end of the block is a block cut short
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block: {error}") from None
        headers = Headers(tuple(fields or ()), is_too_large=fields is None)
        if changed:
            self._cache.clear()
        elif len(block) <= _CACHED_BLOCK_BYTES:
            if len(self._cache) >= _CACHED_BLOCKS:
                self._cache.clear()
            self._cache[block] = headers
        return headers

    def _read(self, block: bytes) -> tuple[list[Field] | None, bool]:
        """The fields, None if there are too many, and whether the table changed."""
        table = self._table
        fields: list[Field] = []
        position, size, changed = 0, 0, False
        while position < len(block):
            first = block[position]
            if first & 0x80:
                index, position = _integer(block, position, 7)
                field = table.get_by_index(index)
            elif first & 0x40:
                field, position = self._literal(block, position, 6)
                table.add(*field)
                changed = True
            elif first & 0x20:
                if size:
                    raise HPACKError("table size update after a field")
                position = self._resize(block, position)
                changed = True
                continue
            else:
                field, position = self._literal(block, position, 4)
            size += len(field[0]) + len(field[1]) + FIELD_OVERHEAD_BYTES
            if size <= self._max_list_bytes:
                fields.append(field)
        return (fields if size <= self._max_list_bytes else None), changed

    def _literal(self, block: bytes, position: int, prefix_bits: int) -> tuple[Field, int]:
        index, position = _integer(block, position, prefix_bits)
        if index:
            name = self._table.get_by_index(index)[0]
        else:
            name, position = _string(block, position)
        value, position = _string(block, position)
        return (name, value), position

    def _resize(self, block: bytes, position: int) -> int:
        size, position = _integer(block, position, 5)
        if size > HeaderTable.DEFAULT_SIZE:  # we never announce another
            raise HPACKError(f"table size {size} is above {HeaderTable.DEFAULT_SIZE}")
        self._table.maxsize = size
        return position


def _integer(block: bytes, position: int, prefix_bits: int) -> tuple[int, int]:
    """The number at ``position`` and the position after it (RFC 7541 section 5.1)."""
    mask = (1 << prefix_bits) - 1
    number = block[position] & mask
    if number < mask:
        return number, position + 1
    number, consumed = decode_integer(block[position : position + 8], prefix_bits)  # at most 6 bytes, or an error
    return number, position + consumed


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """The string at ``position`` and the position after it (RFC 7541 section 5.2)."""
    is_huffman = block[position] & 0x80
    length, position = _integer(block, position, 7)
    end = position + length
    if end > len(block):
        raise HPACKError(f"a string of {length} bytes, of which {len(block) - position} are there")
    text = block[position:end]
    return (decode_huffman(text) if is_huffman else text), end
