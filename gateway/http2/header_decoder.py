"""Header blocks to header lists (HPACK, RFC 7541), with two caches.

A block that neither adds to the dynamic table nor resizes it means the same every time, for as long as no other block
changes the table. A client's second call of a method is such a block, of some eight bytes::

    83          86            c2        c1           c0            bf  …
    :method     :scheme http  :path     :authority   content-type  te        all indexed: one dict look-up

Where calls have deadlines, no two blocks are equal: each adds a ``grpc-timeout`` of its own to the table, which moves
all others by one. The fields are read then, but they are judged once: lists that differ in nothing but that field
share what they have in common, see `Headers.shared`::

    :method POST … te trailers  grpc-timeout 4999963u        both are  :method POST … te trailers  grpc-timeout
    :method POST … te trailers  grpc-timeout 4999871u        and the value, which is kept apart
"""

from __future__ import annotations

from typing import Final

from hpack.exceptions import HPACKError

from oarlock.gateway.http2.faults import ConnectionFault
from oarlock.gateway.http2.frames import ErrorCode
from oarlock.gateway.http2.header_table import HeaderTable, decode_huffman
from oarlock.gateway.http2.headers import Field, Fields, Headers, field_bytes

_CACHED_BLOCKS: Final = 64
"""A client calls a dozen methods; with a token or two that makes a few dozen blocks."""
_CACHED_BLOCK_BYTES: Final = 256
"""Longer blocks carry literals that will not come again."""
_SHARED_LISTS: Final = 32
_SHARED_LIST_BYTES: Final = 2048
"""A call of etcd's Go client has 400, with a token some hundreds more; a connection keeps 64 KiB of them at most."""

_MAX_CONTINUATION_BYTES: Final = 5
"""Of a number: more than any index or length here needs, and as many as the `hpack` library takes."""


class HeaderDecoder:
    """The decoding half of a connection's HPACK state.

    Invariants: every block that arrives goes through `decode`, in order, whatever becomes of its stream; the cache
    holds only blocks whose meaning the present table gives.

    Args:
        max_list_bytes: the longest header list that is kept, counted as in RFC 9113 section 6.5.2.
        varying: the name of the field, if any, whose value hardly comes twice.
    """

    __slots__ = ("_cache", "_max_list_bytes", "_shared", "_table", "_varying")

    def __init__(self, max_list_bytes: int, varying: bytes = b"") -> None:
        self._max_list_bytes = max_list_bytes
        self._varying = varying
        self._table = HeaderTable()
        self._cache: dict[bytes, Headers] = {}
        self._shared: dict[Fields, Headers] = {}

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
        headers = Headers((), is_too_large=True) if fields is None else self._judged(fields)
        if changed:
            self._cache.clear()
        elif len(block) <= _CACHED_BLOCK_BYTES:
            if len(self._cache) >= _CACHED_BLOCKS:
                self._cache.clear()
            self._cache[block] = headers
        return headers

    def _judged(self, fields: list[Field]) -> Headers:
        """``fields`` with what other lists like it have in common."""
        own: Field | None = None
        common = fields
        for at, field in enumerate(fields):
            if field[0] == self._varying:
                if own is None:
                    own = field
                    common = fields.copy()
                common[at] = (self._varying, b"")
        key = tuple(common)
        shared = self._shared.get(key)
        if shared is None:
            shared = Headers(key)
            if sum(map(field_bytes, key)) <= _SHARED_LIST_BYTES:
                if len(self._shared) >= _SHARED_LISTS:
                    self._shared.clear()
                self._shared[key] = shared
        return shared if own is None else Headers(tuple(fields), shared=shared, own=own)

    def _read(self, block: bytes) -> tuple[list[Field] | None, bool]:
        """The fields, None if there are too many, and whether the table changed."""
        table = self._table
        fields: list[Field] = []
        position, size, changed = 0, 0, False
        while position < len(block):
            first = block[position]
            if first & 0x80:
                index, position = _integer(block, position, 7)
                field = table.field(index)
            elif first & 0x40:
                field, position = self._literal(block, position, 6)
                table.add(field)
                changed = True
            elif first & 0x20:
                if size:
                    raise HPACKError("table size update after a field")
                position = self._resize(block, position)
                changed = True
                continue
            else:
                field, position = self._literal(block, position, 4)
            size += field_bytes(field)
            if size <= self._max_list_bytes:
                fields.append(field)
        return (fields if size <= self._max_list_bytes else None), changed

    def _literal(self, block: bytes, position: int, prefix_bits: int) -> tuple[Field, int]:
        index, position = _integer(block, position, prefix_bits)
        if index:
            name = self._table.field(index)[0]
        else:
            name, position = _string(block, position)
        value, position = _string(block, position)
        return (name, value), position

    def _resize(self, block: bytes, position: int) -> int:
        size_bytes, position = _integer(block, position, 5)
        self._table.limit(size_bytes)
        return position


def _integer(block: bytes, position: int, prefix_bits: int) -> tuple[int, int]:
    """The number at ``position`` and the position after it (RFC 7541 section 5.1)."""
    mask = (1 << prefix_bits) - 1
    number = block[position] & mask
    if number < mask:
        return number, position + 1
    position += 1
    for shift in range(0, 7 * _MAX_CONTINUATION_BYTES, 7):
        byte = block[position]
        position += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise HPACKError("a number that is too long")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """The string at ``position`` and the position after it (RFC 7541 section 5.2)."""
    is_huffman = block[position] & 0x80
    length, position = _integer(block, position, 7)
    end = position + length
    if end > len(block):
        raise HPACKError(f"a string of {length} bytes, of which {len(block) - position} are there")
    text = block[position:end]
    return (decode_huffman(text) if is_huffman else text), end
