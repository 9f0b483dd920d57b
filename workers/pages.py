"""What a page of a list is made of: kvs for native clients, a part of the answer's bytes for etcd's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

from librt.strings import BytesWriter

from oarlock.gateway.service import EncodedRows
from oarlock.gateway.services.key_values import encoded
from oarlock.storage.replica.read import ReadView
from oarlock.wire.operations import KeyValue
from oarlock.workers.encoded_rows import encode_rows

KV_OVERHEAD_BYTES: Final = 32
"""Of a kv on the wire beside its key and value, about."""
_KVS_FIELD: Final = 2
"""Of etcd's RangeResponse."""
IS_COMPILED: Final = not __file__.endswith(".py")
"""As source, what is written byte by byte takes twice the time of kvs on the way."""


class Page(ABC):
    """Rows in key order, as they are gathered.

    Attributes:
        count: of the rows.
        size_bytes: about how many bytes they take on the wire.
        last_key: of the last row; empty before there is one.
    """

    def __init__(self) -> None:
        self.count = 0
        self.size_bytes = 0
        self.last_key = b""

    @abstractmethod
    def gather(
        self, view: ReadView, start: bytes, end: bytes | None, revision: int, keys_only: bool, most: int | None
    ) -> Iterator[int]:
        """Takes in rows, chunk by chunk, for as long as it is asked to; gives how many each had.

        Args:
            view, start, end, revision, keys_only, most: as in ``ReadView.scan_chunks``, whose errors are raised.
        """

    @property
    @abstractmethod
    def rows(self) -> Any:
        """What a RANGE answers for them."""


class KvPage(Page):
    """Rows as kvs."""

    def __init__(self) -> None:
        super().__init__()
        self._kvs: list[KeyValue] = []

    def gather(
        self, view: ReadView, start: bytes, end: bytes | None, revision: int, keys_only: bool, most: int | None
    ) -> Iterator[int]:
        """See ``Page``."""
        for kvs in view.scan_chunks(start, end, revision=revision, keys_only=keys_only, most=most):
            self._kvs += kvs
            self.count += len(kvs)
            self.size_bytes += bytes_of(kvs)
            self.last_key = kvs[-1][0]
            yield len(kvs)

    @property
    def rows(self) -> list[KeyValue]:
        """The kvs."""
        return self._kvs


class EncodedPage(Page):
    """Rows as the fields of a RangeResponse that they become.

    Args:
        by_kvs: make kvs of rows first.
    """

    def __init__(self, *, by_kvs: bool = not IS_COMPILED) -> None:
        super().__init__()
        self._by_kvs = by_kvs
        self._body = BytesWriter()

    def gather(
        self, view: ReadView, start: bytes, end: bytes | None, revision: int, keys_only: bool, most: int | None
    ) -> Iterator[int]:
        """See ``Page``."""
        stored = None
        if not self._by_kvs:
            stored = view.scan_stored(start, end, revision=revision, keys_only=keys_only, most=most)
        if stored is not None:
            for rows, records in stored:
                encode_rows(self._body, rows, records)
                yield self._took(len(rows), rows[-1][0])
            return
        for kvs in view.scan_chunks(start, end, revision=revision, keys_only=keys_only, most=most):
            self._body.write(encoded(kvs, field=_KVS_FIELD))
            yield self._took(len(kvs), kvs[-1][0])

    def _took(self, count: int, last_key: bytes) -> int:
        self.count += count
        self.size_bytes = len(self._body)
        self.last_key = last_key
        return count

    @property
    def rows(self) -> EncodedRows:
        """The bytes."""
        return EncodedRows(self._body.getvalue(), self.count, self.last_key)


def bytes_of(kvs: Sequence[KeyValue]) -> int:
    """About how many bytes they take on the wire."""
    return sum([len(kv[0]) + len(kv[1]) for kv in kvs]) + len(kvs) * KV_OVERHEAD_BYTES
