"""Checks the pages of an LMDB file before LMDB maps it.

LMDB trusts its file: a page that is not there (the file was cut off) is a SIGBUS, a page of garbage a jump to anywhere.
Neither can be caught. So the whole tree of pages is walked here first, reading only what was checked to be there:
every page number in range and met once, every page of the kind and number that its parent says, every node inside its
page, and no page both in use and on the list of free pages. What keys and values say is not looked at; events have
checksums for that.

The format is that of LMDB 0.9 (data version 1) on a 64-bit little-endian machine: see ``MDB_page``, ``MDB_node``,
``MDB_db`` and ``MDB_meta`` in LMDB's ``mdb.c``.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from struct import Struct, unpack_from
from typing import Final, NamedTuple, NoReturn

from oarlock.wire.errors import DamageError

_PAGE: Final = Struct("<QHHHH")  # number, size of a LEAF2 key, flags, lower, upper
_OVERFLOW: Final = Struct("<QHHI")  # number, unused, flags, pages
_META: Final = Struct("<II16x")  # magic, version, then address and map size
_TREE: Final = Struct("<IHHQQQQQ")  # page or key size, flags, depth, branch, leaf and overflow pages, entries, root
_TAIL: Final = Struct("<QQ")  # last page number, transaction
_NODE: Final = Struct("<HHHH")  # data size low and high (or page number low, middle, high in flags), flags, key size
_NUMBER: Final = Struct("<Q")

_BRANCH, _LEAF, _OVERFLOW_PAGE, _META_PAGE, _LEAF2, _SUB_PAGE = 0x01, 0x02, 0x04, 0x08, 0x20, 0x40
_BIG_DATA, _SUB_DATA, _DUP_DATA = 0x01, 0x02, 0x04
_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
_NO_PAGE: Final = (1 << 64) - 1
_META_PAGES: Final = 2
_MIN_PAGE_BYTES: Final = 512
_MAX_PAGE_BYTES: Final = 32768
_MAX_DEPTH: Final = 32
"""LMDB's own bound on the depth of a tree (CURSOR_STACK)."""

_unpack_node = _NODE.unpack_from


class Header(NamedTuple):
    """What a meta page says.

    Attributes:
        page_bytes: size of all pages.
        free_root: root of the tree of free pages.
        main_root: root of the tree that names the tables.
        last_page: number of the last page of the file that was ever used.
        transaction: number of the transaction that wrote it.
    """

    page_bytes: int
    free_root: int
    main_root: int
    last_page: int
    transaction: int


class _Node(NamedTuple):
    flags: int
    data_at: int
    data_bytes: int


def check_pages(path: Path) -> Header:
    """Walks all pages of the file (about 1 s for 2 million records).

    Args:
        path: an LMDB file that nobody has open.

    Returns:
        The header of the newest transaction.

    Raises:
        DamageError: the file is missing, empty, cut off, of another format, or a page is not what it must be.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DamageError(path, 0, f"it cannot be opened: {error.strerror}") from None
    with file:
        try:
            memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except ValueError:
            raise DamageError(path, 0, "it is empty") from None
        with memory:
            return _PageWalk(path, memory).run()


class _PageWalk:
    """One walk. Invariant: nothing is read at an offset that was not compared with the file's size first."""

    def __init__(self, path: Path, memory: mmap.mmap) -> None:
        self._path = path
        self._memory = memory
        self._header = self._newest_header()
        self._page_bytes = self._header.page_bytes
        self._seen = bytearray(self._header.last_page + 1)

    def run(self) -> Header:
        for node in self._walk(self._header.main_root, keep_all=True):
            if node.flags != _SUB_DATA or node.data_bytes != _TREE.size:
                self._fail(node.data_at, "no table")
            self._walk(self._root_at(node.data_at))
        for node in self._walk(self._header.free_root, keep_all=True):
            self._check_free_pages(node)
        return self._header

    def _fail(self, offset: int, problem: str) -> NoReturn:
        raise DamageError(self._path, offset, problem)

    # --- the two meta pages ---

    def _newest_header(self) -> Header:
        first = self._read_header(0)
        second = self._read_header(first.page_bytes)
        if second.page_bytes != first.page_bytes:
            self._fail(first.page_bytes, f"pages of {second.page_bytes} bytes, not {first.page_bytes}")
        header = second if second.transaction > first.transaction else first
        needed = (header.last_page + 1) * header.page_bytes
        if len(self._memory) < needed:
            self._fail(len(self._memory), f"the file ends there and should have {needed} bytes")
        return header

    def _read_header(self, at: int) -> Header:
        tail_at = at + _PAGE.size + _META.size + 2 * _TREE.size
        if len(self._memory) < tail_at + _TAIL.size:
            self._fail(len(self._memory), "the file ends inside its first two pages")
        flags = _PAGE.unpack_from(self._memory, at)[2]
        magic, version = _META.unpack_from(self._memory, at + _PAGE.size)
        if not flags & _META_PAGE or magic != _MAGIC:
            self._fail(at, "no LMDB file")
        if version != _DATA_VERSION:
            self._fail(at, f"LMDB data version {version}, not {_DATA_VERSION}")
        free = _TREE.unpack_from(self._memory, at + _PAGE.size + _META.size)
        main = _TREE.unpack_from(self._memory, at + _PAGE.size + _META.size + _TREE.size)
        last_page, transaction = _TAIL.unpack_from(self._memory, tail_at)
        page_bytes = free[0]
        if not _MIN_PAGE_BYTES <= page_bytes <= _MAX_PAGE_BYTES or page_bytes & (page_bytes - 1):
            self._fail(at, f"pages of {page_bytes} bytes")
        if last_page >= 1 << 48:
            self._fail(at, f"{last_page} as the number of the last page")
        return Header(page_bytes, free[7], main[7], last_page, transaction)

    # --- trees ---

    def _walk(self, root: int, *, keep_all: bool = False) -> list[_Node]:
        """Checks a tree from its root page down, with the trees and pages that its nodes point to.

        Returns:
            The nodes of its leaves where they are wanted, else nothing.
        """
        kept: list[_Node] = []
        pending = [] if root == _NO_PAGE else [(root, 1)]
        while pending:
            number, depth = pending.pop()
            at = self._enter(number)
            _, key_bytes, flags, lower, upper = _PAGE.unpack_from(self._memory, at)
            if depth > _MAX_DEPTH:
                self._fail(at, "the tree is too deep")
            self._check_space(at, lower, upper, self._page_bytes)
            if flags & _BRANCH:
                pending += [(child, depth + 1) for child in self._children(at, lower)]
            elif flags & _LEAF2:
                self._check_fixed(at, key_bytes, lower, self._page_bytes)
            elif flags & _LEAF:
                kept += self._check_leaf(at, lower, keep_all)
            else:
                self._fail(at, f"page flags {flags:#x} inside a tree")
        return kept

    def _root_at(self, at: int) -> int:
        return int(_TREE.unpack_from(self._memory, at)[7])

    def _enter(self, number: int) -> int:
        """The offset of a page of a tree, which must be in the file, say its own number, and be met once."""
        if not _META_PAGES <= number < len(self._seen):
            self._fail(0, f"a page number {number} outside of the file")
        at = number * self._page_bytes
        if self._seen[number]:
            self._fail(at, "the page is in use twice")
        self._seen[number] = 1
        said = _NUMBER.unpack_from(self._memory, at)[0]
        if said != number:
            self._fail(at, f"page {number} says that it is page {said}")
        return at

    def _check_space(self, at: int, lower: int, upper: int, page_bytes: int) -> None:
        if lower < _PAGE.size or lower & 1 or lower > upper or upper > page_bytes:
            self._fail(at, f"free space from {lower} to {upper} in a page of {page_bytes} bytes")

    def _check_fixed(self, at: int, key_bytes: int, lower: int, page_bytes: int) -> None:
        if _PAGE.size + (lower - _PAGE.size) // 2 * key_bytes > page_bytes:
            self._fail(at, "keys of fixed size beyond the end of the page")

    def _pointers(self, at: int, lower: int) -> tuple[int, ...]:
        """The places of a page's nodes. Each node's head is inside the page."""
        count = (lower - _PAGE.size) // 2
        pointers: tuple[int, ...] = unpack_from(f"<{count}H", self._memory, at + _PAGE.size)
        if count and (min(pointers) < lower or max(pointers) > self._page_bytes - _NODE.size):
            self._fail(at, "a node outside of its page")
        return pointers

    def _children(self, at: int, lower: int) -> Iterator[int]:
        for pointer in self._pointers(at, lower):
            low, middle, high, key_bytes = _unpack_node(self._memory, at + pointer)
            if pointer + _NODE.size + key_bytes > self._page_bytes:
                self._fail(at + pointer, "a key beyond the end of the page")
            yield low | middle << 16 | high << 32

    def _check_leaf(self, at: int, lower: int, keep_all: bool) -> list[_Node]:
        memory, page_bytes = self._memory, self._page_bytes
        kept: list[_Node] = []
        for pointer in self._pointers(at, lower):
            low, high, flags, key_bytes = _unpack_node(memory, at + pointer)
            data = pointer + 8 + key_bytes
            data_bytes = low | high << 16
            if data + (8 if flags & _BIG_DATA else data_bytes) > page_bytes:
                self._fail(at + pointer, "a record beyond the end of the page")
            data_at = at + data
            if flags & _DUP_DATA:
                self._check_duplicates(data_at, data_bytes, flags)
            elif flags & _BIG_DATA:
                data_at = self._check_overflow(data_at, data_bytes)
            if keep_all:
                kept.append(_Node(flags, data_at, data_bytes))
        return kept

    def _check_overflow(self, number_at: int, data_bytes: int) -> int:
        """Checks the pages of a value that is too large for its leaf; returns where the value begins."""
        number = _NUMBER.unpack_from(self._memory, number_at)[0]
        at = self._enter(number)
        _, _, flags, pages = _OVERFLOW.unpack_from(self._memory, at)
        needed = (_PAGE.size + data_bytes + self._page_bytes - 1) // self._page_bytes
        if not flags & _OVERFLOW_PAGE or pages != needed or number + pages > len(self._seen):
            self._fail(at, f"{pages} pages with flags {flags:#x} for a value of {data_bytes} bytes")
        if any(self._seen[number + 1 : number + pages]):
            self._fail(at, "the page is in use twice")
        self._seen[number + 1 : number + pages] = b"\1" * (pages - 1)
        return at + _PAGE.size

    def _check_free_pages(self, node: _Node) -> None:
        """A record of the free tree is a count and that many page numbers, none of them in use."""
        count = _NUMBER.unpack_from(self._memory, node.data_at)[0] if node.data_bytes >= 8 else -1
        if node.data_bytes != (count + 1) * 8:
            self._fail(node.data_at, f"{count} free pages listed in {node.data_bytes} bytes")
        for number in unpack_from(f"<{count}Q", self._memory, node.data_at + 8):
            if not _META_PAGES <= number < len(self._seen) or self._seen[number]:
                self._fail(node.data_at, f"page {number} is listed as free")
            self._seen[number] = 1

    def _check_duplicates(self, data_at: int, data_bytes: int, flags: int) -> None:
        if flags & _SUB_DATA:
            if data_bytes != _TREE.size:
                self._fail(data_at, f"a tree of duplicates described by {data_bytes} bytes")
            self._walk(self._root_at(data_at))
            return
        if data_bytes < _PAGE.size:
            self._fail(data_at, f"a page of duplicates of {data_bytes} bytes")
        _, key_bytes, page_flags, lower, upper = _PAGE.unpack_from(self._memory, data_at)
        self._check_space(data_at, lower, upper, data_bytes)
        if not page_flags & _SUB_PAGE:
            self._fail(data_at, f"page flags {page_flags:#x} of duplicates")
        if page_flags & _LEAF2:
            self._check_fixed(data_at, key_bytes, lower, data_bytes)
            return
        for pointer in unpack_from(f"<{(lower - _PAGE.size) // 2}H", self._memory, data_at + _PAGE.size):
            head_end = pointer + _NODE.size
            if head_end > data_bytes or head_end + _unpack_node(self._memory, data_at + pointer)[3] > data_bytes:
                self._fail(data_at, "a duplicate beyond the end of its page")
